import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { valueAt } from '../rooms/history-visibility.ts'
import { type StateRow, type StateWanted, type StoredEvent, storedState } from '../storage/events.ts'
import type { StateChangeFact } from '../storage/stream.ts'
import { eventsBetween } from './feeds.ts'
import type { EventFilter } from './filter.ts'
import type { RoomTimeline } from './room-timelines.ts'

/** Members a device has been told about, so that lazy loading need not tell them again. */
export type ToldMembers = { told(room: number, userNid: number): boolean; tell(room: number, userNid: number): void }

export type StateOptions = {
  readonly filter: EventFilter
  /** The state after the timeline instead of before it: MSC4222. */
  readonly after: boolean
  readonly reader: { readonly userId: UserId; readonly userNid: number }
  readonly told: ToldMembers
}

export type States = {
  readonly byRoom: ReadonlyMap<number, readonly StoredEvent[]>
  /** What state events of the timelines replaced, where that was looked up or is in memory. */
  readonly replaced: ReadonlyMap<number, StoredEvent | undefined>
}

type Engine = Pick<Context, 'events' | 'hotRooms'>
type Membership = { readonly room: number; readonly userId: UserId; readonly position: number }

/**
 * What the client must know of the state of each room to make sense of its timeline. One statement for any number of
 * rooms; none when memory holds it.
 *
 * With the state before the timeline, changes that no shown event of the timeline tells are part of it: those that forks
 * bring about, and those whose event is filtered out. Nothing else would tell them.
 */
export async function loadStates(
  ctx: Engine,
  timelines: readonly RoomTimeline[],
  options: StateOptions,
): Promise<States> {
  const wanted = new Map<RoomTimeline, StateWanted>()
  for (const timeline of timelines) {
    const span = isWarm(timeline) ? undefined : stateWanted(timeline, options.after)
    if (span && options.filter.allowsRoom(timeline.plan.userRoom.roomId)) wanted.set(timeline, span)
  }
  const lazy = options.filter.lazyLoadMembers
  const members = lazy ? lazyMembers(ctx, timelines, wanted, options) : { found: [], cold: [] }
  const cold = timelines.flatMap(({ events, facts }) => events.filter((event) => !facts.has(event.nid)))
  const loaded = await ctx.events.statesAround({
    rooms: [...wanted.values()],
    members: !lazy,
    memberships: members.cold,
    replacedBy: cold,
  })
  const rows = Map.groupBy(loaded.state, ({ stored }) => stored.room)
  const extra = Map.groupBy([...members.found, ...loaded.memberships], (event) => event.room)
  const byRoom = new Map<number, StoredEvent[]>()
  for (const timeline of timelines) {
    const { room, roomId } = timeline.plan.userRoom
    if (!options.filter.allowsRoom(roomId)) continue
    const span = wanted.get(timeline)
    const changed = span
      ? fromRows(rows.get(room) ?? [], timeline, span, options.after)
      : warmChanges(timeline, options)
    const state = new Map([...(extra.get(room) ?? []), ...changed].map((event) => [event.kind, event]))
    const shown = [...state.values()].filter(({ event }) => options.filter.allows?.(event.pdu) ?? true)
    if (shown.length > 0) byRoom.set(room, shown)
  }
  return { byRoom, replaced: replacedIn(timelines, cold, loaded.replaced) }
}

/** Whether the changes in memory are all that the client is to be told. */
function isWarm({ plan, limited, isRemembered }: RoomTimeline): boolean {
  return isRemembered && !limited && plan.section === 'join'
}

/** Which state to read, or undefined where the reader is to be told none. */
function stateWanted(timeline: RoomTimeline, after: boolean): StateWanted | undefined {
  const { plan, start, view } = timeline
  const { room } = plan.userRoom
  if (plan.section === 'join') {
    const begin = after ? plan.upTo : start
    return { room, after: plan.full ? undefined : plan.after, start: begin, upTo: plan.upTo }
  }
  // Of a room that was left: the state as it was at the leaving, and only if the reader was in it after `after`.
  const lastJoin = view?.memberships.findLast(({ value, from }) => value === 'join' && from <= plan.upTo)
  if (!lastJoin) return undefined
  const upTo = Math.min(lastJoin.to ?? plan.upTo, plan.upTo)
  if (upTo <= plan.after) return undefined
  const knew = !plan.full && valueAt(view!.memberships, plan.after) === 'join'
  return { room, after: knew ? plan.after : undefined, start: after ? upTo : Math.min(start, upTo), upTo }
}

function fromRows(
  rows: readonly StateRow[],
  { events }: RoomTimeline,
  { start }: StateWanted,
  after: boolean,
): StoredEvent[] {
  const shown = new Set(after ? [] : events.map((event) => event.nid))
  return rows
    .filter(({ stored, from }) => from <= start || !shown.has(stored.nid))
    .toSorted((one, other) => one.from - other.from)
    .map(({ stored }) => stored)
}

/** From memory: changes that no shown event of the timeline tells, and with `after` those that one does. */
function warmChanges({ plan, events }: RoomTimeline, { after }: StateOptions): StoredEvent[] {
  if (!plan.feed || plan.section !== 'join') return []
  const shown = new Set(events.map((event) => event.nid))
  const silent = plan.feed.silentChanges.filter(({ position }) => position > plan.after && position <= plan.upTo)
  const told = eventsBetween(plan.feed, plan.after, plan.upTo).flatMap(({ position, changes }) =>
    changes.filter(({ to }) => after || !to || !shown.has(to.nid)).map((change) => ({ position, change })),
  )
  const latest = new Map<number, StateChangeFact>()
  for (const { change } of [...silent, ...told].sort((one, other) => one.position - other.position)) {
    latest.set(change.kind, change)
  }
  return [...latest.values()].flatMap(({ to }) => (to ? [to] : []))
}

/** With lazy loading: the members who sent what is in the timeline, and in a full state the reader. */
function lazyMembers(
  ctx: Engine,
  timelines: readonly RoomTimeline[],
  wanted: ReadonlyMap<RoomTimeline, StateWanted>,
  options: StateOptions,
): { found: StoredEvent[]; cold: Membership[] } {
  const found: StoredEvent[] = []
  const cold: Membership[] = []
  for (const timeline of timelines) {
    const { plan } = timeline
    const { room } = plan.userRoom
    // Who never was in the room is told nothing of its members.
    if (plan.section === 'leave' && !wanted.has(timeline)) continue
    const span = wanted.get(timeline)
    // Members of a room that was joined without them become known one by one, whom the timeline is from.
    const isLearning = plan.userRoom.completed === 'not yet'
    const position = isLearning ? plan.upTo : (span?.start ?? (options.after ? plan.upTo : timeline.start))
    const shown = new Set(options.after ? [] : timeline.events.map((event) => event.nid))
    const users = new Map(timeline.events.map((event) => [event.senderNid, event.event.pdu.sender]))
    if (plan.full) users.set(options.reader.userNid, options.reader.userId)
    for (const [userNid, userId] of users) {
      const isTold = !plan.full && options.told.told(room, userNid)
      if (isTold && !options.filter.includeRedundantMembers) continue
      options.told.tell(room, userNid)
      const entry = ctx.hotRooms.peekByNid(room)?.entry('m.room.member', userId)
      if (!entry || entry.since === 0 || entry.since > position) cold.push({ room, userId, position })
      else if (!shown.has(entry.ref.nid)) found.push(storedState(room, entry.ref))
    }
  }
  return { found, cold }
}

function replacedIn(
  timelines: readonly RoomTimeline[],
  cold: readonly StoredEvent[],
  loaded: ReadonlyMap<number, StoredEvent>,
): Map<number, StoredEvent | undefined> {
  const replaced = new Map<number, StoredEvent | undefined>()
  for (const event of cold) replaced.set(event.nid, loaded.get(event.nid))
  for (const { events, facts } of timelines) {
    for (const { nid } of events) {
      const fact = facts.get(nid)
      if (fact) replaced.set(nid, fact.replaced)
    }
  }
  return replaced
}
