import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { type ViewerHistory, viewersOf } from '../rooms/history-visibility.ts'
import { relatedAs } from '../rooms/related-by.ts'
import { isOwnMembership } from '../rooms/room-access.ts'
import { visibleEvents } from '../rooms/visible-events.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
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
  /** Undefined where the reader was joined all the time. */
  readonly view: ViewerHistory | undefined
  /** Memory holds everything that ever happened in the room, or in the span of the plan. */
  readonly isRemembered: boolean
}

export type TimelineOptions = {
  readonly userId: UserId
  readonly filter: EventFilter
  /** Users whose messages are left out. */
  readonly ignored: ReadonlySet<string>
}

/** What is known of a timeline while it is put together, newest first. */
type Draft = {
  readonly plan: RoomPlan
  readonly facts: readonly EventFact[]
  readonly isRemembered: boolean
  view: ViewerHistory | undefined
  readonly passing: StoredEvent[]
  /** Nothing older is left in the span. */
  exhausted: boolean
  hidden: boolean
  /** The oldest event that was looked at has a gap before it: what is older is not shown beside it. */
  gap: boolean
  /** The oldest position that was looked at. */
  reached: number | undefined
}

type Engine = Pick<Context, 'events' | 'dictionaries' | 'database'>

/** How often more is fetched for rooms whose filter let too little through, each time four times as much. */
const furtherRounds = 3
const mostPerRound = 400

/**
 * Timelines of all planned rooms: those in memory cost nothing, the others one statement together; a few more where a
 * filter lets little through.
 */
export async function loadTimelines(
  ctx: Engine,
  plans: readonly RoomPlan[],
  options: TimelineOptions,
): Promise<RoomTimeline[]> {
  const { limit } = options.filter
  const drafts = plans.map((plan): { draft: Draft; fresh: StoredEvent[] | undefined } => {
    const shows = options.filter.allowsRoom(plan.userRoom.roomId)
    const { facts, isAll } = shows ? inMemory(plan, options) : { facts: [], isAll: false }
    const draft = {
      plan,
      facts: facts ?? [],
      isRemembered: isAll,
      view: undefined,
      passing: [],
      hidden: false,
      gap: false,
      reached: undefined,
    }
    return { draft: { ...draft, exhausted: !shows }, fresh: facts?.map((fact) => fact.stored).toReversed() }
  })
  const cold = drafts.filter(({ fresh }) => fresh === undefined)
  const loaded = await ctx.events.timelines({
    spans: cold.map(({ draft }) => spanOf(draft.plan)),
    limit: limit + 1,
    historyOf: drafts.filter(({ draft, fresh }) => needsView(draft.plan, fresh)).map(({ draft }) => roomOf(draft.plan)),
    userId: options.userId,
  })
  const views = viewersOf(loaded.history)
  const byRoom = Map.groupBy(loaded.events, (event) => event.room)
  await Promise.all(
    drafts.map(async ({ draft, fresh }) => {
      const room = roomOf(draft.plan)
      if (needsView(draft.plan, fresh)) draft.view = views.get(room) ?? { visibilities: [], memberships: [] }
      draft.exhausted ||= draft.isRemembered
      await take(ctx, draft, fresh ?? byRoom.get(room) ?? [], fresh ? 0 : limit + 1, options)
    }),
  )
  await fetchMore(
    ctx,
    cold.map(({ draft }) => draft),
    options,
  )
  return drafts.map(({ draft }) => timelineOf(draft, limit))
}

/** Adds what the reader may and wants to see of the next older events of a room. */
async function take(
  ctx: Engine,
  draft: Draft,
  found: readonly StoredEvent[],
  asked: number,
  options: TimelineOptions,
): Promise<void> {
  if (asked > 0 && found.length < asked) draft.exhausted = true
  const gap = found.findIndex(({ flags }) => (flags & EventFlags.gap) !== 0)
  const events = gap < 0 ? found : found.slice(0, gap + 1)
  if (gap >= 0) {
    draft.gap = true
    draft.exhausted = true
  }
  draft.reached = events.at(-1)?.timeline ?? draft.reached
  const isApart = events.some((event) => event.stateDelta !== null)
  if (isApart && !draft.view) {
    const { history } = await ctx.events.timelines({
      spans: [],
      limit: 0,
      historyOf: [roomOf(draft.plan)],
      userId: options.userId,
    })
    draft.view = viewersOf(history).get(roomOf(draft.plan)) ?? { visibilities: [], memberships: [] }
  }
  const related = new Set(await relatedAs(ctx, events, options.filter.relatedBy))
  const visible = draft.view && new Set(await visibleEvents(ctx, draft.view, options.userId, events))
  for (const event of events) {
    const isVisible = !visible || visible.has(event) || isOwnMembership(event, options.userId)
    if (!isVisible) draft.hidden = true
    else if (related.has(event) && passes(event, options)) draft.passing.push(event)
  }
}

function passes(event: StoredEvent, { filter, ignored }: TimelineOptions): boolean {
  const { pdu } = event.event
  // Spec: Client-Server API, "Ignoring Users": "Servers must still send state events sent by ignored users to clients."
  if (pdu.state_key === undefined && ignored.has(pdu.sender)) return false
  return filter.allows?.(pdu) ?? true
}

async function fetchMore(ctx: Engine, drafts: readonly Draft[], options: TimelineOptions): Promise<void> {
  const { limit } = options.filter
  for (let round = 1; round <= furtherRounds; round++) {
    const short = drafts.filter(({ exhausted, passing, view, hidden }) => {
      // What visibility hides goes on into the past; there is seldom more to be found.
      return !exhausted && passing.length < limit && !(view && hidden && passing.length > 0)
    })
    if (short.length === 0) return
    const chunk = Math.min((limit + 1) * 4 ** round, mostPerRound)
    const { events } = await ctx.events.timelines({
      spans: short.map(({ plan, reached }) => ({ ...spanOf(plan), upTo: (reached ?? plan.upTo + 1) - 1 })),
      limit: chunk,
      historyOf: [],
      userId: options.userId,
    })
    const byRoom = Map.groupBy(events, (event) => event.room)
    await Promise.all(short.map((draft) => take(ctx, draft, byRoom.get(roomOf(draft.plan)) ?? [], chunk, options)))
  }
}

function timelineOf(draft: Draft, limit: number): RoomTimeline {
  const { plan, facts, isRemembered, view, passing, exhausted, hidden, gap, reached } = draft
  const shown = passing.slice(0, limit).reverse()
  const isFull = passing.length >= limit
  const limited = passing.length > limit || !exhausted || hidden || gap || plan.isRejoined
  const oldest = isFull || (exhausted && !gap) ? shown[0]?.timeline : reached
  return {
    plan,
    events: shown,
    facts: new Map(facts.map((fact) => [fact.stored.nid, fact])),
    limited,
    start: oldest === undefined || oldest === null ? plan.upTo : oldest - 1,
    view,
    isRemembered,
  }
}

/** The facts that make the timeline where memory holds enough of it: all there is of the span, or more than is shown. */
function inMemory(
  { feed, after, upTo, warm, section, userRoom }: RoomPlan,
  options: TimelineOptions,
): { facts: readonly EventFact[] | undefined; isAll: boolean } {
  const facts = feed ? eventsBetween(feed, after, upTo) : []
  if (warm) return { facts, isAll: true }
  const unknown = { facts: undefined, isAll: false }
  if (options.filter.relatedBy || section === 'leave') return unknown
  if (facts[0]?.stored.event.pdu.type === 'm.room.create') return { facts, isAll: true }
  const enough = newestPassing(facts, options)
  // Of before the joining, some might be hidden, and then what is before would have to take their place.
  if (!enough || enough[0]!.position < userRoom.since) return unknown
  return { facts: enough, isAll: false }
}

/** The newest facts of which just one more passes than is shown; undefined where there are not as many. */
function newestPassing(facts: readonly EventFact[], options: TimelineOptions): readonly EventFact[] | undefined {
  let passing = 0
  for (let index = facts.length - 1; index >= 0; index--) {
    if (passes(facts[index]!.stored, options) && ++passing > options.filter.limit) return facts.slice(index)
  }
  return undefined
}

/** Whether events of before the reader's joining, or of after the leaving, may be among those that are looked at. */
function needsView(plan: RoomPlan, events: readonly StoredEvent[] | undefined): boolean {
  if (plan.section === 'leave') return true
  if (!events) return plan.full
  return events.some((event) => event.timeline! < plan.userRoom.since)
}

function spanOf({ userRoom, after, upTo }: RoomPlan): { room: number; after: number; upTo: number } {
  return { room: userRoom.room, after, upTo }
}

function roomOf(plan: RoomPlan): number {
  return plan.userRoom.room
}
