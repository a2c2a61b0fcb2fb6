import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { loadViewerHistories, maySee, type ViewerHistory } from '../rooms/history-visibility.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { EventFact } from '../storage/facts.ts'
import { eventsBetween } from './feeds.ts'
import type { EventFilter } from './filter.ts'
import type { RoomPlan } from './room-plan.ts'

/** The part of a room's timeline that a sync shows. */
export type RoomTimeline = {
  readonly plan: RoomPlan
  /** Oldest first. */
  readonly events: readonly StoredEvent[]
  /** The facts of those that came from memory, by event number. */
  readonly facts: ReadonlyMap<number, EventFact>
  /** More happened than is shown. */
  readonly limited: boolean
  /** The position before the first of the shown events. */
  readonly start: number
  readonly view: ViewerHistory | undefined
}

/** Timelines of all planned rooms: those in memory cost nothing, the others one statement together for each span. */
export async function loadTimelines(
  ctx: Pick<Context, 'events' | 'dictionaries'>,
  userId: UserId,
  plans: readonly RoomPlan[],
  filter: EventFilter,
): Promise<RoomTimeline[]> {
  const { limit } = filter
  const cold = plans.filter((plan) => inMemory(plan, limit) === undefined)
  const loaded = new Map<number, StoredEvent[]>()
  for (const [span, rooms] of bySpan(cold)) {
    const [after, upTo] = span.split(' ').map(Number) as [number, number]
    for (const event of await ctx.events.newest(rooms, after, upTo, limit + 1)) {
      const list = loaded.get(event.room)
      if (list) list.push(event)
      else loaded.set(event.room, [event])
    }
  }
  const cut = plans.map((plan) => {
    const facts = inMemory(plan, limit)
    const events = facts ? facts.map((fact) => fact.stored) : (loaded.get(plan.userRoom.room)?.toReversed() ?? [])
    return { plan, facts: facts ?? [], events }
  })
  const needView = cut.filter(({ plan, events }) => events.some((event) => beforeJoining(plan, event)))
  const views =
    needView.length === 0
      ? new Map<number, ViewerHistory>()
      : await loadViewerHistories(
          ctx,
          needView.map(({ plan }) => plan.userRoom.room),
          userId,
        )
  return cut.map(({ plan, facts, events }) => {
    const shown = events.slice(Math.max(0, events.length - limit))
    const view = views.get(plan.userRoom.room)
    const isOwn = (event: StoredEvent): boolean =>
      event.event.pdu.type === 'm.room.member' && event.event.pdu.state_key === userId
    const visible = view ? shown.filter((event) => isOwn(event) || maySee(view, event.timeline!)) : shown
    const passing = filter.allows ? visible.filter((event) => filter.allows!(event.event.pdu)) : visible
    const first = shown[0]?.timeline
    return {
      plan,
      events: passing,
      facts: new Map(facts.map((fact) => [fact.stored.nid, fact])),
      limited: events.length > limit || visible.length < shown.length,
      start: first === undefined || first === null ? plan.upTo : first - 1,
      view,
    }
  })
}

/** The facts that make the timeline when memory holds enough of it: all of the span, or more than is shown. */
function inMemory(plan: RoomPlan, limit: number): readonly EventFact[] | undefined {
  if (!plan.feed) return plan.warm ? [] : undefined
  const facts = eventsBetween(plan.feed, plan.after, plan.upTo)
  if (!plan.warm && facts.length <= limit) return undefined
  return facts.slice(Math.max(0, facts.length - limit - 1))
}

function bySpan(plans: readonly RoomPlan[]): Map<string, number[]> {
  const spans = new Map<string, number[]>()
  for (const { after, upTo, userRoom, section } of plans) {
    // Rooms left have each their own end; they are few.
    const span = `${after} ${section === 'leave' ? userRoom.since : upTo}`
    const rooms = spans.get(span)
    if (rooms) rooms.push(userRoom.room)
    else spans.set(span, [userRoom.room])
  }
  return spans
}

function beforeJoining(plan: RoomPlan, event: StoredEvent): boolean {
  return plan.section === 'leave' || event.timeline! < plan.userRoom.since
}
