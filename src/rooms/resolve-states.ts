import type { Context } from '../context.ts'
import type { Given, Wanted } from '../matrix/state-res/resolving.ts'
import { type LoadedEvent, type StateKey, stateKeyOf, typeAndStateKeyOf } from '../matrix/state-res/state-map.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { EventFlags } from '../storage/events.ts'
import { stateBetween, stateNumbers, wholeStateNumbers } from '../storage/room-state.ts'
import type { RoomAuthGraph } from './auth-graphs.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { SteppedResolution } from './resolver.ts'
import type { RoomState } from './state-at.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'events' | 'hotRooms'>

/** Stands for the number of an event that is not stored yet. */
export const ownNumber = -1

/** An event that takes part in a resolution before it is stored. */
export type OwnEvent = { readonly ref: EventRef; readonly auth: readonly number[] }

/** Kinds in which states may differ, and the event of each in each state; 0: none. */
export type Comparison = {
  readonly base: number
  /** What the kinds held at `base`. */
  readonly atBase: ReadonlyMap<number, number>
  readonly values: readonly ReadonlyMap<number, number>[]
}

/** One statement: it reads what changed between the bases, and the keys of the deltas. */
export async function compareStates(
  ctx: Pick<Context, 'database'>,
  room: number,
  states: readonly RoomState[],
): Promise<Comparison> {
  const bases = states.map(({ base }) => base)
  const from = Math.min(...bases)
  const base = Math.max(...bases)
  const kinds = new Set(states.flatMap(({ entries }) => [...entries.keys()]))
  const rows =
    from === base && kinds.size === 0 ? [] : await ctx.database.read(stateBetween, [room, from, base, [...kinds]])
  const at = (position: number): Map<number, number> => {
    const held = new Map<number, number>()
    for (const row of rows) {
      const holds =
        row.from_position !== null &&
        row.from_position <= position &&
        (row.to_position === null || row.to_position > position)
      if (holds) held.set(row.kind, row.event_nid ?? 0)
      else if (!held.has(row.kind)) held.set(row.kind, 0)
    }
    return held
  }
  const held = new Map<number, Map<number, number>>()
  for (const position of bases) if (!held.has(position)) held.set(position, at(position))
  const values = states.map((state) => new Map([...held.get(state.base)!, ...state.entries]))
  return { base, atBase: held.get(base)!, values }
}

/**
 * Resolves states of a room into one, reading and comparing only what they differ in. Everything they are made of must be
 * in the database, except for one event, `own`, which the entries name by `ownNumber`.
 *
 * Spec: Server-Server API, "Room State Resolution".
 */
export function createResolver(
  ctx: Engine,
  room: HotRoom,
  own?: OwnEvent,
): (states: readonly RoomState[]) => Promise<RoomState> {
  let graph: Promise<RoomAuthGraph> | undefined
  return async (given) => {
    const states = distinct(given)
    if (states.length === 1) return states[0]!
    const comparison = await compareStates(ctx, room.room, states)
    const differing = differingKinds(comparison)
    if (differing.size === 0) return stateOf(comparison, comparison.values[0]!)
    graph ??= ctx.hotRooms.authGraphs.of(room)
    const resolution = new Resolution(ctx, room, await graph, comparison, own)
    return resolution.run()
  }
}

function distinct(states: readonly RoomState[]): RoomState[] {
  const seen = new Map<string, RoomState>()
  for (const state of states) {
    const entries = [...state.entries].sort(([one], [other]) => one - other)
    seen.set(`${state.base} ${entries}`, state)
  }
  return [...seen.values()]
}

function differingKinds({ values }: Comparison): Set<number> {
  const differing = new Set<number>()
  const [first, ...others] = values
  for (const [kind, nid] of first!) if (others.some((other) => other.get(kind) !== nid)) differing.add(kind)
  return differing
}

function stateOf({ base, atBase }: Comparison, values: ReadonlyMap<number, number>): RoomState {
  return { base, entries: new Map([...values].filter(([kind, nid]) => (atBase.get(kind) ?? 0) !== nid)) }
}

/** Rounds of asking for what turns out to be needed: each brings something new, and a few are enough. */
const mostRounds = 1000
/** Events that are loaded at a time, between which others have their turn. */
const eventsAtOnce = 200

/** One resolution: plain data is gathered until the pure algorithm asks for nothing more. */
class Resolution {
  readonly #ctx: Engine
  readonly #room: HotRoom
  readonly #graph: RoomAuthGraph
  readonly #comparison: Comparison
  readonly #own: OwnEvent | undefined
  readonly #kindOf = new Map<StateKey, number>()

  constructor(ctx: Engine, room: HotRoom, graph: RoomAuthGraph, comparison: Comparison, own: OwnEvent | undefined) {
    this.#ctx = ctx
    this.#room = room
    this.#graph = graph
    this.#comparison = comparison
    this.#own = own
  }

  async run(): Promise<RoomState> {
    const divergent = await this.#divergent()
    const create = this.#ordinalOf(this.#room.entry('m.room.create', '')?.ref.nid ?? 0)
    const { rules } = this.#room
    const resolution = new SteppedResolution(this.#ctx.hotRooms.resolvers, rules, this.#graph.graph, {
      divergent,
      create,
    })
    let given = this.#ownEvent()
    for (let round = 0; round < mostRounds; round++) {
      const step = await resolution.step(given)
      if ('resolved' in step) return this.#result(step.resolved)
      given = await this.#find(step.wanted)
    }
    throw new Error('a state resolution does not come to an end')
  }

  async #divergent(): Promise<ReadonlyMap<StateKey, number | undefined>[]> {
    const { values } = this.#comparison
    const kinds = await this.#ctx.dictionaries.kinds(values[0]!.keys())
    const keys = new Map<number, StateKey>()
    for (const [kind, { type, stateKey }] of kinds) {
      const key = stateKeyOf(type, stateKey!)
      keys.set(kind, key)
      this.#kindOf.set(key, kind)
    }
    return values.map(
      (state) => new Map([...state].map(([kind, nid]) => [keys.get(kind)!, this.#ordinalOf(nid)] as const)),
    )
  }

  #ordinalOf(nid: number): number | undefined {
    if (nid === 0) return undefined
    return nid === ownNumber ? this.#ordinalOfOwn() : this.#graph.ordinalOf(nid)
  }

  #ordinalOfOwn(): number {
    const { ref, auth } = this.#own!
    return this.#graph.addUnwritten(this.#room, ref, auth)
  }

  /** The event that is not stored yet, if the states have it. */
  #ownEvent(): Given {
    const isPart = this.#comparison.values.some((state) => [...state.values()].includes(ownNumber))
    if (!isPart) return {}
    return { events: [[this.#ordinalOfOwn(), { event: this.#own!.ref.event, rejected: false }]] }
  }

  async #find({ events, agreed, whole }: Wanted): Promise<Given> {
    return {
      events: await this.#load(events),
      agreed: agreed.length === 0 ? [] : await this.#findAgreed(agreed),
      ...(whole && { whole: await this.#findWhole() }),
    }
  }

  /** The entries at some keys in which all states agree. */
  async #findAgreed(keys: readonly StateKey[]): Promise<NonNullable<Given['agreed']>> {
    const { database, dictionaries } = this.#ctx
    const wanted = keys.map((key) => {
      const [type, stateKey] = typeAndStateKeyOf(key)
      return { type, stateKey }
    })
    const found = await dictionaries.findKinds(wanted)
    const at = [this.#room.room, this.#comparison.base, [...found.values()]]
    const rows = found.size === 0 ? [] : await database.read(stateNumbers, at)
    const held = new Map(rows.map((row) => [row.kind, row.event_nid]))
    return keys.map((key, index) => {
      const { type, stateKey } = wanted[index]!
      const nid = held.get(found.get(kindKey(type, stateKey)) ?? 0)
      return [key, nid === undefined ? undefined : this.#graph.ordinalOf(nid)]
    })
  }

  async #findWhole(): Promise<number[]> {
    const { atBase, base } = this.#comparison
    const whole = await this.#ctx.database.read(wholeStateNumbers, [this.#room.room, base])
    return whole.filter(({ kind }) => !atBase.has(kind)).map((row) => this.#graph.ordinalOf(row.event_nid))
  }

  async #load(ordinals: readonly number[]): Promise<NonNullable<Given['events']>> {
    const nids = ordinals.map((ordinal) => this.#graph.nidOf(ordinal))
    const loaded: [number, LoadedEvent][] = []
    for (let start = 0; start < nids.length; start += eventsAtOnce) {
      for (const stored of await this.#ctx.events.byNids(nids.slice(start, start + eventsAtOnce), { edges: true })) {
        const rejected = (stored.flags & EventFlags.rejected) !== 0
        loaded.push([this.#graph.ordinalOf(stored.nid), { event: stored.event, rejected }])
      }
    }
    return loaded
  }

  #numberOf(ordinal: number | undefined): number {
    if (ordinal === undefined) return 0
    const nid = this.#graph.nidOf(ordinal)
    return nid === Number.POSITIVE_INFINITY ? ownNumber : nid
  }

  #result(resolved: ReadonlyMap<StateKey, number | undefined>): RoomState {
    const values = new Map<number, number>()
    for (const [key, ordinal] of resolved) {
      // A key that no state had comes from an event, which has a kind.
      const kind = this.#kindOf.get(key) ?? this.#graph.kindOf(ordinal!)
      values.set(kind, this.#numberOf(ordinal))
    }
    return stateOf(this.#comparison, values)
  }
}
