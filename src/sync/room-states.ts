import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { type StoredEvent, storedState } from '../storage/events.ts'
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

type Engine = Pick<Context, 'events' | 'dictionaries' | 'hotRooms'>

/**
 * What the client must know of the state of each room to make sense of its timeline, by room. At most three statements for
 * any number of rooms; none when memory holds it.
 */
export async function loadStates(
  ctx: Engine,
  timelines: readonly RoomTimeline[],
  options: StateOptions,
): Promise<Map<number, StoredEvent[]>> {
  const states = new Map<number, StoredEvent[]>()
  const add = (event: StoredEvent): void => {
    const list = states.get(event.room)
    if (list) list.push(event)
    else states.set(event.room, [event])
  }
  const lazy = options.filter.lazyLoadMembers
  const end = (timeline: RoomTimeline): number => (options.after ? timeline.plan.upTo : timeline.start)

  const full = timelines.filter(({ plan }) => plan.full)
  const gaps = timelines.filter(({ plan, limited }) => !plan.full && (limited || !plan.warm))
  const warm = timelines.filter(({ plan, limited }) => !plan.full && plan.warm && !limited)
  const [whole, changed] = await Promise.all([
    ctx.events.statesAt(
      full.map((timeline) => ({ room: timeline.plan.userRoom.room, position: end(timeline) })),
      { members: !lazy },
    ),
    ctx.events.changes(
      gaps.map((timeline) => ({ room: timeline.plan.userRoom.room, after: timeline.plan.after, upTo: end(timeline) })),
    ),
  ])
  const inTimeline = new Map(timelines.map((timeline) => [timeline.plan.userRoom.room, new Set(timeline.events)]))
  for (const event of whole) add(event)
  for (const event of changed) {
    const shown = inTimeline.get(event.room)!
    if (options.after || ![...shown].some((other) => other.nid === event.nid)) add(event)
  }
  for (const timeline of warm) for (const event of warmChanges(timeline, options.after)) add(event)
  if (lazy) for (const event of await loadMembers(ctx, timelines, states, options, end)) add(event)
  if (options.filter.allows) {
    for (const [room, events] of states) {
      states.set(
        room,
        events.filter((event) => options.filter.allows!(event.event.pdu)),
      )
    }
  }
  return states
}

/** From memory: changes that no event of the timeline shows, and with `after` those that one does. */
function warmChanges({ plan }: RoomTimeline, after: boolean): StoredEvent[] {
  if (!plan.feed) return []
  const latest = new Map<string, StateChangeFact>()
  const silent = plan.feed.silentChanges.filter(({ position }) => position > plan.after && position <= plan.upTo)
  const told = after
    ? eventsBetween(plan.feed, plan.after, plan.upTo).flatMap(({ position, changes }) =>
        changes.map((change) => ({ position, change })),
      )
    : []
  const inOrder = [...silent, ...told].sort((one, other) => one.position - other.position)
  for (const { change } of inOrder) latest.set(`${change.type}\0${change.stateKey}`, change)
  return [...latest.values()].flatMap(({ to }) => (to ? [to] : []))
}

/** With lazy loading: the members who sent what is in the timeline, and in a full state the reader. */
async function loadMembers(
  ctx: Engine,
  timelines: readonly RoomTimeline[],
  states: ReadonlyMap<number, readonly StoredEvent[]>,
  options: StateOptions,
  end: (timeline: RoomTimeline) => number,
): Promise<StoredEvent[]> {
  const wanted: { room: number; userId: UserId; position: number }[] = []
  for (const timeline of timelines) {
    const { room } = timeline.plan.userRoom
    const users = new Map(timeline.events.map((event) => [event.senderNid, event.event.pdu.sender]))
    if (timeline.plan.full) users.set(options.reader.userNid, options.reader.userId)
    const present = new Set(
      (states.get(room) ?? [])
        .filter(({ event }) => event.pdu.type === 'm.room.member')
        .map(({ event }) => event.pdu.state_key),
    )
    for (const [userNid, userId] of users) {
      const isTold = !timeline.plan.full && options.told.told(room, userNid)
      if (present.has(userId) || (isTold && !options.filter.includeRedundantMembers)) continue
      options.told.tell(room, userNid)
      wanted.push({ room, userId, position: end(timeline) })
    }
  }
  const found: StoredEvent[] = []
  const cold: typeof wanted = []
  for (const member of wanted) {
    const room = ctx.hotRooms.peekByNid(member.room)
    const entry = room?.entry('m.room.member', member.userId)
    if (room && entry && entry.since > 0 && entry.since <= member.position)
      found.push(storedState(member.room, entry.ref))
    else cold.push(member)
  }
  if (cold.length === 0) return found
  const kinds = await ctx.dictionaries.findKinds(
    cold.map(({ userId }) => ({ type: 'm.room.member', stateKey: userId })),
  )
  const at = cold.flatMap(({ room, userId, position }) => {
    const kind = kinds.get(`m.room.member\0${userId}`)
    return kind === undefined ? [] : [{ room, kind, position }]
  })
  return [...found, ...(await ctx.events.entriesAt(at))]
}
