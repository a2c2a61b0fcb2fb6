import type { Context } from '../context.ts'
import { clientEventText } from '../rooms/client-event.ts'
import { describeEvents } from '../rooms/describe-events.ts'
import { loadViewerHistories } from '../rooms/history-visibility.ts'
import { remoteMembershipsIn } from '../rooms/remote-memberships.ts'
import { isOwnMembership } from '../rooms/room-access.ts'
import { visibleEvents } from '../rooms/visible-events.ts'
import type { StoredEvent } from '../storage/events.ts'
import { filterOf } from './filters.ts'
import { planRooms, type RoomPlan } from './room-plan.ts'
import type { Session } from './session.ts'
import { isElsewhere } from './stripped-state.ts'
import type { SyncRequest } from './sync.ts'

type Reader = SyncRequest['reader']

/** The next events of all rooms of a user, in the order in which they came. */
export type StreamPage = {
  /** Client events as JSON text, with their rooms. */
  readonly events: readonly string[]
  /** The position up to which they are all that there is. */
  readonly upTo: number
  /** There is more before the position that was asked for. */
  readonly isCut: boolean
}

/**
 * What happened in a user's rooms, with invites from elsewhere: the first `limit` events. Three statements, whatever the number
 * of rooms, and what the events take.
 */
export async function eventsAfter(
  ctx: Context,
  session: Session,
  reader: Reader,
  { after, upTo, limit }: { readonly after: number; readonly upTo: number; readonly limit: number },
): Promise<StreamPage> {
  const filter = await filterOf(ctx, reader.userNid, undefined)
  const plans = planRooms(
    session,
    ctx.feeds,
    ctx.typing,
    { since: after, upTo, fullState: false, typingSince: ctx.typing.counter },
    filter,
  )
  const here = plans.filter(({ userRoom }) => !isElsewhere(userRoom))
  const found = await ctx.events.forwardInRooms(
    here.map((plan) => ({ room: plan.userRoom.room, after, upTo: plan.upTo })),
    limit,
  )
  const isCut = found.length === limit
  const end = isCut ? found.at(-1)!.timeline! : upTo
  const elsewhere = plans.filter(({ userRoom }) => isElsewhere(userRoom) && userRoom.since <= end)
  const events = [...(await described(ctx, session, reader, found)), ...(await fromElsewhere(ctx, reader, elsewhere))]
  events.sort((one, other) => one.position - other.position)
  return { events: events.map(({ text }) => text), upTo: end, isCut }
}

type Placed = { readonly position: number; readonly text: string }

/** Those that the reader may and wants to see. */
async function described(
  ctx: Context,
  session: Session,
  reader: Reader,
  found: readonly StoredEvent[],
): Promise<Placed[]> {
  const byRoom = Map.groupBy(found, ({ room }) => room)
  const views = await loadViewerHistories(ctx, [...byRoom.keys()], reader.userId)
  const visible: StoredEvent[] = []
  for (const [room, events] of byRoom) {
    const seen = new Set(await visibleEvents(ctx, views.get(room)!, reader.userId, events))
    for (const event of events) {
      const isWanted = event.event.pdu.state_key !== undefined || !session.ignored.has(event.event.pdu.sender)
      if (isWanted && (seen.has(event) || isOwnMembership(event, reader.userId))) visible.push(event)
    }
  }
  const texts = await describeEvents(ctx, reader, visible, { views, ignored: session.ignored, roomIds: true })
  return visible.map(({ timeline }, index) => ({ position: timeline!, text: texts[index]! }))
}

/** What other servers told of the reader's memberships in rooms that this deployment is not in. */
async function fromElsewhere(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'clock'>,
  { userId }: Reader,
  plans: readonly RoomPlan[],
): Promise<Placed[]> {
  const told = await remoteMembershipsIn(
    ctx,
    userId,
    plans.map(({ userRoom }) => userRoom.room),
  )
  return plans.flatMap(({ userRoom: { room, roomId, since } }): Placed[] => {
    const membership = told.get(room)
    if (!membership) return []
    const text = clientEventText({ event: membership.event }, { now: ctx.clock.now(), roomId })
    return [{ position: since, text }]
  })
}
