import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_THREAD_CHANGES } from '../matrix/limits.ts'
import { threadRootOf } from '../matrix/push-rules/event-facts.ts'
import { eventIdText } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { Fact } from '../storage/facts.ts'
import { oneThreadSubscription, saveThreadSubscriptions, threadChanges } from '../storage/thread-subscriptions.ts'
import { visibleEvent } from './room-access.ts'

type Engine = Parameters<typeof visibleEvent>[0] & Pick<Context, 'database' | 'writer'>
type User = { readonly userId: UserId; readonly userNid: number }
type Thread = { readonly roomId: RoomId; readonly root: EventId }

/**
 * How a user is subscribed to a thread.
 *
 * Spec: MSC4306, "Retrieving thread subscription".
 *
 * @throws MatrixError M_NOT_FOUND for no subscription, and for what is no event that the user may see.
 */
export async function threadSubscription(ctx: Engine, user: User, thread: Thread): Promise<{ automatic: boolean }> {
  const root = await eventFor(ctx, user, thread.roomId, thread.root)
  const current = await subscriptionTo(ctx, user, root)
  if (!current?.subscribed) throw new MatrixError('M_NOT_FOUND', 'You are not subscribed to this thread')
  return { automatic: current.automatic }
}

/**
 * Subscribes a user to a thread: because the user asked for it, or because of an event in the thread.
 *
 * Spec: MSC4306, "Subscribing to a thread", "Server-side automatic subscription ordering": what came in before the user
 * ended the subscription does not bring it back.
 *
 * @throws MatrixError M_NOT_FOUND; IO.ELEMENT.MSC4306.M_NOT_IN_THREAD for a cause that is elsewhere;
 *   IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION
 */
export async function subscribeToThread(ctx: Engine, user: User, thread: Thread, cause?: EventId): Promise<void> {
  const root = await eventFor(ctx, user, thread.roomId, thread.root)
  const causing = cause === undefined ? undefined : await eventFor(ctx, user, thread.roomId, cause)
  if (causing && threadRootOf(causing.event.pdu.content) !== thread.root) {
    throw new MatrixError('IO.ELEMENT.MSC4306.M_NOT_IN_THREAD', 'The cause of the subscription is not in the thread')
  }
  const current = await subscriptionTo(ctx, user, root)
  if (current?.subscribed && (causing || !current.automatic)) return
  if (causing && current && (causing.timeline ?? 0) <= current.position) {
    throw new MatrixError(
      'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
      'The thread was left after the event that would cause the subscription',
    )
  }
  await write(ctx, user, thread, root, { subscribed: true, automatic: causing !== undefined })
}

/**
 * Ends a subscription, if there is one.
 *
 * Spec: MSC4306, "Unsubscribing from a thread".
 *
 * @throws MatrixError M_NOT_FOUND
 */
export async function unsubscribeFromThread(ctx: Engine, user: User, thread: Thread): Promise<void> {
  const root = await eventFor(ctx, user, thread.roomId, thread.root)
  const current = await subscriptionTo(ctx, user, root)
  if (current?.subscribed) await write(ctx, user, thread, root, { subscribed: false, automatic: false })
}

/** Changes of a user's subscriptions by room and thread, as MSC4308 has them, and where those before begin. */
export type ThreadChanges = {
  readonly subscribed?: JsonObject
  readonly unsubscribed?: JsonObject
  /** The position up to which there are more. */
  readonly earlier: number | undefined
}

/** The latest changes of a user's subscriptions in a span of the stream. Spec: MSC4308. */
export async function threadChangesOf(
  ctx: Pick<Context, 'database'>,
  userNid: number,
  span: { readonly after: number; readonly upTo: number; readonly limit: number },
): Promise<ThreadChanges> {
  const limit = Math.min(span.limit, MAX_THREAD_CHANGES)
  const rows = await ctx.database.read(threadChanges, [userNid, span.after, span.upTo, limit + 1])
  const subscribed = new Map<string, [string, JsonObject][]>()
  const unsubscribed = new Map<string, [string, JsonObject][]>()
  for (const row of rows.slice(0, limit)) {
    const rooms = row.subscribed ? subscribed : unsubscribed
    const change = { ...(row.subscribed && { automatic: row.automatic }), bump_stamp: row.position }
    const entry: [string, JsonObject] = [eventIdText(row.event_id, row.event_format), change]
    const entries = rooms.get(row.room_id)
    if (entries) entries.push(entry)
    else rooms.set(row.room_id, [entry])
  }
  return {
    ...(subscribed.size > 0 && { subscribed: byRoom(subscribed) }),
    ...(unsubscribed.size > 0 && { unsubscribed: byRoom(unsubscribed) }),
    earlier: rows.length > limit ? rows[limit]!.position : undefined,
  }
}

function byRoom(rooms: ReadonlyMap<string, [string, JsonObject][]>): JsonObject {
  return Object.fromEntries([...rooms].map(([roomId, entries]) => [roomId, Object.fromEntries(entries)]))
}

async function subscriptionTo(ctx: Engine, user: User, root: StoredEvent) {
  const [row] = await ctx.database.read(oneThreadSubscription, [root.nid, user.userNid])
  return row
}

/** Whether somebody may look into a room at all is not told either. */
async function eventFor(ctx: Engine, user: User, roomId: RoomId, eventId: EventId): Promise<StoredEvent> {
  try {
    return (await visibleEvent(ctx, roomId, eventId, user.userId)).stored
  } catch (error) {
    if (!(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
    throw new MatrixError('M_NOT_FOUND', 'Event not found')
  }
}

async function write(
  ctx: Engine,
  { userId, userNid }: User,
  thread: Thread,
  { nid, room }: StoredEvent,
  to: { readonly subscribed: boolean; readonly automatic: boolean },
): Promise<void> {
  await ctx.writer.write({
    positions: 1,
    write(batch, position) {
      batch.add(saveThreadSubscriptions, { user_nid: userNid, room, event_nid: nid, ...to, position })
      const { subscribed } = to
      const { root } = thread
      batch.fact({ kind: 'threadSubscription', position, userNid, userId, room, root, subscribed } satisfies Fact)
    },
  })
}
