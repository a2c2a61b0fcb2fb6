import type { Context } from '../context.ts'
import { type StateKey, stateKeyOf } from '../matrix/state-res/state-map.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import { stateNumbers, stateNumbersWithoutMembers, wholeStateNumbers } from '../storage/room-state.ts'
import { loadStateDeltas, type StateDelta } from '../storage/state-deltas.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import type { StateTuple } from './hot-rooms.ts'

/** A state of a room, as what it differs in from the resolved state at a position. */
export type RoomState = StateDelta

/**
 * What is asked of a state may not be known: that of an event whose predecessors we never saw, or the members of a room
 * that was joined without them.
 */
export type StateLookup<Value> = { readonly known: true; readonly value: Value } | { readonly known: false }

const unknown = { known: false } as const
const nothing: ReadonlyMap<number, number> = new Map()

/** Later than every position: the current state. */
export const now = Number.MAX_SAFE_INTEGER

type Place = Pick<StoredEvent, 'nid' | 'kind' | 'timeline' | 'flags' | 'stateDelta'>

/** The states before events, by event number. At most one statement; cost and size are those of the deltas. */
export async function statesBefore(
  ctx: Pick<Context, 'database'>,
  events: readonly Place[],
): Promise<Map<number, StateLookup<RoomState>>> {
  const wanted = new Set<number>()
  for (const { stateDelta } of events) if (stateDelta !== null) wanted.add(stateDelta)
  const deltas = await loadStateDeltas(ctx.database, [...wanted])
  return new Map(events.map((event) => [event.nid, before(event, deltas)]))
}

function before(event: Place, deltas: ReadonlyMap<number, StateDelta>): StateLookup<RoomState> {
  if ((event.flags & EventFlags.outlier) !== 0) return unknown
  if (event.stateDelta !== null) return { known: true, value: deltas.get(event.stateDelta)! }
  if ((event.flags & EventFlags.backfilled) !== 0) return unknown
  return { known: true, value: { base: (event.timeline ?? event.nid) - 1, entries: nothing } }
}

/** The states after events, by event number. A rejected event changes nothing. */
export async function statesAfter(
  ctx: Pick<Context, 'database'>,
  events: readonly Place[],
): Promise<Map<number, StateLookup<RoomState>>> {
  const states = await statesBefore(ctx, events)
  for (const event of events) {
    const state = states.get(event.nid)!
    const changes = (event.flags & EventFlags.state) !== 0 && (event.flags & EventFlags.rejected) === 0
    if (state.known && changes) {
      states.set(event.nid, { known: true, value: withEntry(state.value, event.kind, event.nid) })
    }
  }
  return states
}

/** The state after an accepted event that is in memory, if memory holds it. */
export function stateAfterRef(ref: EventRef): RoomState | undefined {
  if (ref.before === undefined || ref.nid === 0) return undefined
  const before = ref.before === 'implied' ? { base: ref.nid - 1, entries: nothing } : ref.before
  return ref.event.pdu.state_key === undefined ? before : withEntry(before, ref.kind, ref.nid)
}

export function withEntry(state: RoomState, kind: number, nid: number): RoomState {
  return { base: state.base, entries: new Map(state.entries).set(kind, nid) }
}

/**
 * The state before or after a stored event.
 *
 * Spec: Server-Server API, `GET /state/{roomId}`: the state "prior to" an event is that before it.
 */
export async function stateAt(
  ctx: Pick<Context, 'database'>,
  event: StoredEvent,
  side: 'before' | 'after',
): Promise<StateLookup<RoomState>> {
  const states = side === 'before' ? await statesBefore(ctx, [event]) : await statesAfter(ctx, [event])
  return states.get(event.nid)!
}

/** The numbers of the events at some kinds of a state; kinds without an event are left out. One statement. */
export async function numbersIn(
  ctx: Pick<Context, 'database'>,
  room: number,
  state: RoomState,
  kinds: readonly number[],
): Promise<Map<number, number>> {
  const numbers = new Map<number, number>()
  const atBase: number[] = []
  for (const kind of kinds) {
    const nid = state.entries.get(kind)
    if (nid === undefined) atBase.push(kind)
    else if (nid !== 0) numbers.set(kind, nid)
  }
  if (atBase.length === 0) return numbers
  const rows = await ctx.database.read(stateNumbers, [room, state.base, atBase])
  for (const row of rows) numbers.set(row.kind, row.event_nid)
  return numbers
}

/**
 * The events at some keys of a state. Three statements, fewer where the current state in memory is old enough to tell.
 *
 * A key that the answer lacks is absent, but for members of a room with partial state, which may be `unknown`.
 */
export async function entriesIn(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'events'>,
  room: HotRoom,
  state: RoomState,
  keys: readonly StateTuple[],
): Promise<{ entries: Map<StateKey, StoredEvent | HotEntry>; unknown: StateKey[] }> {
  const entries = new Map<StateKey, StoredEvent | HotEntry>()
  const kinds = await ctx.dictionaries.findKinds(keys.map(([type, stateKey]) => ({ type, stateKey })))
  const asked = new Map<number, StateKey>()
  for (const [type, stateKey] of keys) {
    const kind = kinds.get(kindKey(type, stateKey))
    if (kind === undefined) continue
    const key = stateKeyOf(type, stateKey)
    const current = room.entry(type, stateKey)
    const holds = current !== undefined && current.since > 0 && current.since <= state.base && !state.entries.has(kind)
    if (holds) entries.set(key, current.ref)
    else asked.set(kind, key)
  }
  const numbers = asked.size === 0 ? nothing : await numbersIn(ctx, room.room, state, [...asked.keys()])
  const found = await ctx.events.byNids([...numbers.values()])
  for (const stored of found) entries.set(asked.get(stored.kind)!, stored)
  const missing = keys.filter(([type, stateKey]) => !entries.has(stateKeyOf(type, stateKey)))
  const isUnknown = ([type]: StateTuple): boolean => room.partialState && type === 'm.room.member'
  return { entries, unknown: missing.filter(isUnknown).map(([type, stateKey]) => stateKeyOf(type, stateKey)) }
}

type HotEntry = Pick<StoredEvent, 'nid' | 'kind' | 'event'>

/**
 * The numbers of all events of a state. Costs what the room holds, so it is for who asks for all of it.
 *
 * Unknown for a room whose members are not all here yet.
 */
export async function wholeState(
  ctx: Pick<Context, 'database'>,
  room: Pick<HotRoom, 'room' | 'partialState'>,
  state: RoomState,
): Promise<StateLookup<Map<number, number>>> {
  if (room.partialState) return unknown
  const rows = await ctx.database.read(wholeStateNumbers, [room.room, state.base])
  const numbers = new Map(rows.map((row) => [row.kind, row.event_nid]))
  for (const [kind, nid] of state.entries) {
    if (nid === 0) numbers.delete(kind)
    else numbers.set(kind, nid)
  }
  return { known: true, value: numbers }
}

/** The numbers of the events of a state that are no memberships. */
export async function stateWithoutMembers(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  room: Pick<HotRoom, 'room'>,
  state: RoomState,
): Promise<number[]> {
  const rows = await ctx.database.read(stateNumbersWithoutMembers, [room.room, state.base])
  const numbers = new Map(rows.map((row) => [row.kind, row.event_nid]))
  const kinds = await ctx.dictionaries.kinds(state.entries.keys())
  for (const [kind, nid] of state.entries) {
    if (nid === 0) numbers.delete(kind)
    else if (kinds.get(kind)?.type !== 'm.room.member') numbers.set(kind, nid)
  }
  return [...numbers.values()]
}
