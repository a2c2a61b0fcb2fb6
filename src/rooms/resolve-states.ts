import type { Context } from '../context.ts'
import { resolvePlanned } from '../matrix/state-res/fast.ts'
import { planResolution } from '../matrix/state-res/plan.ts'
import { type LoadedEvent, type StateKey, stateKeyOf, typeAndStateKeyOf } from '../matrix/state-res/state-map.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { EventFlags } from '../storage/events.ts'
import { stateBetween, stateNumbers, wholeStateNumbers } from '../storage/room-state.ts'
import type { RoomAuthGraph } from './auth-graphs.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
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

/**
 * One resolution: plain data is gathered until the pure algorithm asks for nothing more.
 */
class Resolution {
  readonly #ctx: Engine
  readonly #room: HotRoom
  readonly #graph: RoomAuthGraph
  readonly #comparison: Comparison
  readonly #own: OwnEvent | undefined
  readonly #events = new Map<number, LoadedEvent>()
  /** Entries that all states share, as far as anybody asked for them. */
  readonly #agreed = new Map<StateKey, number | undefined>()
  readonly #asked = new Set<StateKey>()
  #whole: readonly number[] | undefined
  #asksForWhole = false
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
    const agreed = {
      get: (key: StateKey) => this.#agreedAt(key),
      ordinals: () => {
        if (!this.#whole) this.#asksForWhole = true
        return this.#whole ?? []
      },
    }
    const create = this.#ordinalOf(this.#room.entry('m.room.create', '')?.ref.nid ?? 0)
    for (let round = 0; round < mostRounds; round++) {
      const plan = planResolution(this.#room.rules, { graph: this.#graph.graph, divergent, agreed, create })
      if (await this.#answerAgreed()) continue
      const resolution = resolvePlanned(plan, (ordinal) => this.#events.get(ordinal))
      if ('missing' in resolution) await this.#load(resolution.missing)
      const more = await this.#answerAgreed()
      if ('resolved' in resolution && !more) return this.#result(resolution.resolved)
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
    if (nid !== ownNumber) return this.#graph.ordinalOf(nid)
    const { ref, auth } = this.#own!
    const ordinal = this.#graph.addUnwritten(this.#room, ref, auth)
    this.#events.set(ordinal, { event: ref.event, rejected: false })
    return ordinal
  }

  #agreedAt(key: StateKey): number | undefined {
    // A key in which the states may differ is not agreed on.
    if (this.#kindOf.has(key)) return undefined
    if (!this.#agreed.has(key)) this.#asked.add(key)
    return this.#agreed.get(key)
  }

  /** Reads what was asked of the agreed state; false when nothing was. */
  async #answerAgreed(): Promise<boolean> {
    if (this.#asked.size === 0 && !this.#asksForWhole) return false
    const { database, dictionaries } = this.#ctx
    const { base } = this.#comparison
    const keys = [...this.#asked]
    this.#asked.clear()
    const wanted = keys.map((key) => {
      const [type, stateKey] = typeAndStateKeyOf(key)
      return { type, stateKey }
    })
    const found = await dictionaries.findKinds(wanted)
    const rows = found.size === 0 ? [] : await database.read(stateNumbers, [this.#room.room, base, [...found.values()]])
    const held = new Map(rows.map((row) => [row.kind, row.event_nid]))
    keys.forEach((key, index) => {
      const { type, stateKey } = wanted[index]!
      const nid = held.get(found.get(kindKey(type, stateKey)) ?? 0)
      this.#agreed.set(key, nid === undefined ? undefined : this.#graph.ordinalOf(nid))
    })
    if (this.#asksForWhole && !this.#whole) {
      const whole = await database.read(wholeStateNumbers, [this.#room.room, base])
      const { atBase } = this.#comparison
      this.#whole = whole.filter(({ kind }) => !atBase.has(kind)).map((row) => this.#graph.ordinalOf(row.event_nid))
    }
    this.#asksForWhole = false
    return true
  }

  async #load(ordinals: readonly number[]): Promise<void> {
    const nids = ordinals.map((ordinal) => this.#graph.nidOf(ordinal))
    for (const stored of await this.#ctx.events.byNids(nids, { edges: true })) {
      const rejected = (stored.flags & EventFlags.rejected) !== 0
      this.#events.set(this.#graph.ordinalOf(stored.nid), { event: stored.event, rejected })
    }
  }

  #numberOf(ordinal: number | undefined): number {
    if (ordinal === undefined) return 0
    const nid = this.#graph.nidOf(ordinal)
    return nid === Number.POSITIVE_INFINITY ? ownNumber : nid
  }

  async #result(resolved: ReadonlyMap<StateKey, number | undefined>): Promise<RoomState> {
    const values = new Map<number, number>()
    for (const [key, ordinal] of resolved) {
      // A key that no state had comes from an event, which has a kind.
      const kind = this.#kindOf.get(key) ?? this.#graph.kindOf(ordinal!)
      values.set(kind, this.#numberOf(ordinal))
    }
    return stateOf(this.#comparison, values)
  }
}
