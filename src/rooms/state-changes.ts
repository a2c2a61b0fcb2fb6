import type { Context } from '../context.ts'
import type { EventId, UserId } from '../matrix/ids.ts'
import { eventIdBytes, eventIdText } from '../storage/event-codec.ts'
import { eventNumbers } from '../storage/event-graph.ts'
import { EventFlags } from '../storage/events.ts'
import { lastStateChange, wholeStateNumbers } from '../storage/room-state.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { refOf, type StateTuple } from './hot-rooms.ts'
import type { StateChange } from './place-event.ts'
import { compareStates } from './resolve-states.ts'
import { now, type RoomState } from './state-at.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'events' | 'hotRooms'>

/** Events loaded at once, where a whole state is. */
const eventsAtOnce = 2000

/**
 * What changes when the resolved state of a room that is held becomes another.
 *
 * @param own An event that is not stored yet, and the number by which the state names it.
 */
export async function changesOf(
  ctx: Engine,
  room: HotRoom,
  states: { readonly current: RoomState; readonly next: RoomState },
  own?: { readonly ref: EventRef; readonly nid: number },
): Promise<StateChange[]> {
  const { values } = await compareStates(ctx, room.room, [states.next, states.current])
  const [next, current] = values
  const changed = new Map([...next!].filter(([kind, nid]) => current!.get(kind) !== nid))
  const kinds = await ctx.dictionaries.kinds(changed.keys())
  const keys = [...kinds.values()].map(({ type, stateKey }): StateTuple => [type, stateKey!])
  const users = keys.filter(([type]) => type === 'm.room.member').map(([, stateKey]) => stateKey as UserId)
  const stored = [...changed.values()].filter((nid) => nid !== 0 && nid !== own?.nid)
  // Read where they are written: memory may not hold as many as can change at once.
  const [events, replaced] = await Promise.all([
    ctx.events.byNids(stored),
    changed.size === 0 ? [] : ctx.events.currentState(room.room, [...changed.keys()]),
    ctx.dictionaries.internUsers(users),
  ])
  const before = new Map(replaced.map((entry) => [entry.stored.kind, entry]))
  const refs = new Map(events.map((event) => [event.nid, refOf(event)]))
  if (own) refs.set(own.nid, own.ref)
  return [...changed].map(([kind, nid]) => {
    const { type, stateKey } = kinds.get(kind)!
    const ref = refs.get(nid)
    const to = ref && { ref, since: 0 }
    const entry = before.get(kind)
    const from = entry && { ref: refOf(entry.stored), since: entry.since }
    return { type, stateKey: stateKey!, kind, from, to }
  })
}

/** The changes that make a state the first of a room. */
export async function givenChanges(
  ctx: Pick<Context, 'dictionaries' | 'events'>,
  state: RoomState,
): Promise<StateChange[]> {
  const nids = [...state.entries.values()]
  const changes: StateChange[] = []
  for (let start = 0; start < nids.length; start += eventsAtOnce) {
    const events = await ctx.events.byNids(nids.slice(start, start + eventsAtOnce))
    const members = events.filter(({ event }) => event.pdu.type === 'm.room.member')
    await ctx.dictionaries.internUsers(members.map(({ event }) => event.pdu.state_key as UserId))
    for (const stored of events) {
      const { type, state_key: stateKey } = stored.event.pdu
      const to = { ref: refOf(stored), since: 0 }
      changes.push({ type, stateKey: stateKey!, kind: stored.kind, from: undefined, to, isGiven: true })
    }
  }
  return changes
}

/**
 * A state that another server told, as event ids. Events that are rejected here are no part of it.
 *
 * @returns `missing`: those that are not stored, or not as state events of this room.
 */
export async function givenState(
  ctx: Pick<Context, 'database'>,
  room: HotRoom,
  eventIds: readonly EventId[],
): Promise<{ readonly state: RoomState } | { readonly missing: readonly EventId[] }> {
  const rows = await ctx.database.read(eventNumbers, [eventIds.map(eventIdBytes)])
  const usable = rows.filter((row) => row.room === room.room && (row.flags & EventFlags.state) !== 0)
  if (usable.length < new Set(eventIds).size) {
    const found = new Set(usable.map((row) => eventIdText(row.event_id, room.rules.eventFormat)))
    return { missing: eventIds.filter((eventId) => !found.has(eventId)) }
  }
  const [last] = await ctx.database.read(lastStateChange, [room.room, now])
  const base = last?.from_position ?? 0
  const held = await ctx.database.read(wholeStateNumbers, [room.room, base])
  const entries = new Map(held.map((row) => [row.kind, 0]))
  const atBase = new Map(held.map((row) => [row.kind, row.event_nid]))
  for (const { kind, event_nid: nid, flags } of usable) {
    if ((flags & EventFlags.rejected) === 0) entries.set(kind, nid)
  }
  return { state: { base, entries: new Map([...entries].filter(([kind, nid]) => (atBase.get(kind) ?? 0) !== nid)) } }
}
