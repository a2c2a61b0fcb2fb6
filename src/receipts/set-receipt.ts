import { accountDataUnit } from '../account-data/account-data.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { HotRoom } from '../rooms/hot-room.ts'
import { joinedRoom, visibleEvent } from '../rooms/room-access.ts'
import type { Unit } from '../storage/batch.ts'
import { statement } from '../storage/database.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import {
  deletePushExceptions,
  deleteThreadExceptions,
  saveReadPositions,
  saveThreadsRead,
} from '../storage/room-users.ts'
import type { Fact } from '../storage/stream.ts'
import { saveReceipts } from '../storage/user-data.ts'

export type ReceiptType = 'm.read' | 'm.read.private'

type User = { readonly userId: UserId; readonly userNid: number }

type WantedReceipt = { readonly type: ReceiptType; readonly eventId: EventId; readonly threadId: string }

type EventPlace = {
  event_nid: number
  room: number
  timeline: number | null
  notify_index: number
  highlight_index: number
  /** Where the user's receipt of that kind is already, if anywhere. */
  receipt_timeline: number | null
  /** The root of the thread that the event is in, as bytes. */
  thread: Buffer | null
  /** What it relates to, directly or over others, in whatever way. */
  related: Buffer[] | null
}

// Spec, "Threaded read receipts": what relates to a message of a thread is in the thread too, over three hops at most.
const selectPlace = statement<EventPlace>(
  'place of a receipt',
  `with recursive hops(parent, relation, depth) as (
     select x.parent, x.relation, 1 from events e join event_relations x using (event_nid) where e.event_id = $1
     union all
     select x.parent, x.relation, h.depth + 1 from hops h join events e on e.event_id = h.parent
     join event_relations x on x.event_nid = e.event_nid
     where h.relation <> 'm.thread' and h.depth < 3)
   select e.event_nid, e.room, e.timeline, e.notify_index, e.highlight_index, re.timeline as receipt_timeline,
     (select parent from hops where relation = 'm.thread' limit 1) as thread,
     (select array_agg(parent) from hops) as related
   from events e
   left join receipts r on r.room = e.room and r.user_nid = $2 and r.receipt_type = $3 and r.thread_id = $4
   left join events re on re.event_nid = r.event_nid
   where e.event_id = $1`,
)

/**
 * Says up to where a user has read. A receipt never goes back.
 *
 * Spec: Client-Server API, "Receipts", "Threaded read receipts".
 *
 * @param receipt.threadId '' for an unthreaded receipt.
 * @throws MatrixError M_FORBIDDEN; M_NOT_FOUND for an event that the room does not have; M_INVALID_PARAM for one that is
 *   not in the thread.
 */
export async function setReceipt(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'dictionaries' | 'events' | 'writer' | 'clock'>,
  user: User,
  roomId: RoomId,
  receipt: WantedReceipt,
): Promise<void> {
  const room = await joinedRoom(ctx, roomId, user.userId)
  const place = await placeOf(ctx, user, room, receipt)
  const joinedAt = room.entry('m.room.member', user.userId)?.since ?? Number.POSITIVE_INFINITY
  // Of what was said before the joining some may be hidden, and is then as good as not there.
  if (place.timeline < joinedAt) await visibleEvent(ctx, roomId, receipt.eventId, user.userId)
  await setReceiptAt(ctx, user, place, receipt)
}

/** The same, for a user of another server, who is known to be in the room or may be. */
export async function setReceiptIn(
  ctx: Pick<Context, 'database' | 'writer' | 'clock'>,
  user: User,
  room: Pick<HotRoom, 'room'>,
  receipt: WantedReceipt,
): Promise<void> {
  await setReceiptAt(ctx, user, await placeOf(ctx, user, room, receipt), receipt)
}

async function placeOf(
  ctx: Pick<Context, 'database'>,
  user: User,
  room: Pick<HotRoom, 'room'>,
  receipt: WantedReceipt,
): Promise<EventPlace & { timeline: number }> {
  const [place] = await ctx.database.read(selectPlace, [
    eventIdBytes(receipt.eventId),
    user.userNid,
    receipt.type,
    receipt.threadId,
  ])
  if (place?.room !== room.room || place.timeline === null) throw new MatrixError('M_NOT_FOUND', 'Event not found')
  return { ...place, timeline: place.timeline }
}

async function setReceiptAt(
  ctx: Pick<Context, 'writer' | 'clock'>,
  user: User,
  place: EventPlace & { timeline: number },
  receipt: WantedReceipt,
): Promise<void> {
  refuseOtherThread(receipt, place)
  if (place.receipt_timeline !== null && place.receipt_timeline >= place.timeline) return
  await ctx.writer.write(receiptUnit(user, { ...receipt, ...place, ts: ctx.clock.now() }))
}

function refuseOtherThread(
  { eventId, threadId }: { readonly eventId: EventId; readonly threadId: string },
  { thread, related }: Pick<EventPlace, 'thread' | 'related'>,
): void {
  if (threadId === '') return
  // A root is in the main timeline, and the beginning of its thread.
  if (thread === null && (threadId === 'main' || threadId === eventId)) return
  const root = threadId === 'main' ? undefined : eventIdBytes(threadId as EventId)
  if (root && thread?.equals(root)) return
  // What relates to the root otherwise is in the main timeline, and shown with the thread by some clients.
  if (root && thread === null && related?.some((parent) => parent.equals(root))) return
  throw new MatrixError('M_INVALID_PARAM', 'The event is not in that thread')
}

function receiptUnit(
  user: User,
  receipt: EventPlace & { type: ReceiptType; eventId: EventId; threadId: string; ts: number },
): Unit<void> {
  const { room, event_nid: eventNid, threadId, ts } = receipt
  return {
    positions: 1,
    write(batch, position) {
      const common = { room, ts, position }
      batch.add(saveReceipts, {
        ...common,
        user_nid: user.userNid,
        receipt_type: receipt.type,
        thread_id: threadId,
        event_nid: eventNid,
      })
      batch.fact({
        kind: 'receipt',
        ...common,
        userNid: user.userNid,
        receiptType: receipt.type,
        threadId,
        eventId: receipt.eventId,
        timeline: receipt.timeline,
      } satisfies Fact)
      const key = { user_nid: user.userNid, room }
      const upTo = receipt.timeline!
      // A receipt for one thread says nothing of the others, so the room as a whole stays unread.
      if (threadId !== '' && threadId !== 'main') {
        batch.add(deleteThreadExceptions, { ...key, root: eventIdBytes(threadId as EventId), up_to: upTo })
      } else {
        batch.add(saveReadPositions, {
          ...key,
          read_position: upTo,
          read_notify_index: receipt.notify_index,
          read_highlight_index: receipt.highlight_index,
        })
        if (threadId === '') batch.add(saveThreadsRead, { ...key, read_position: upTo })
        batch.add(deletePushExceptions, { ...key, up_to: upTo })
      }
      batch.fact({
        kind: 'read',
        position,
        room,
        userNid: user.userNid,
        threadId,
        readPosition: receipt.timeline!,
        notifyIndex: receipt.notify_index,
        highlightIndex: receipt.highlight_index,
      } satisfies Fact)
    },
  }
}

/**
 * Moves the marker of what a user has seen for good: account data of the room.
 *
 * Spec: Client-Server API, "Fully read markers".
 */
export async function setFullyRead(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'writer'>,
  user: User,
  roomId: RoomId,
  eventId: EventId,
): Promise<void> {
  const room = await joinedRoom(ctx, roomId, user.userId)
  const key = { userNid: user.userNid, room: room.room, type: 'm.fully_read' }
  await ctx.writer.write(accountDataUnit(key, JSON.stringify({ event_id: eventId })))
}
