import { accountDataUnit } from '../account-data/account-data.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { joinedRoom } from '../rooms/room-access.ts'
import { statement } from '../storage/database.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import { deletePushExceptions, saveReadPositions } from '../storage/room-users.ts'
import type { Fact } from '../storage/stream.ts'
import { saveReceipts } from '../storage/user-data.ts'
import type { Unit } from '../storage/writer.ts'

export type ReceiptType = 'm.read' | 'm.read.private'

type User = { readonly userId: UserId; readonly userNid: number }

type EventPlace = {
  event_nid: number
  room: number
  timeline: number | null
  notify_index: number
  highlight_index: number
  /** Where the user's receipt of that kind is already, if anywhere. */
  receipt_timeline: number | null
}

const selectPlace = statement<EventPlace>(
  'place of a receipt',
  `select e.event_nid, e.room, e.timeline, e.notify_index, e.highlight_index, re.timeline as receipt_timeline
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
 * @throws MatrixError M_FORBIDDEN; M_NOT_FOUND for an event that the room does not have.
 */
export async function setReceipt(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'writer' | 'clock'>,
  user: User,
  roomId: RoomId,
  receipt: { readonly type: ReceiptType; readonly eventId: EventId; readonly threadId: string },
): Promise<void> {
  const room = await joinedRoom(ctx, roomId, user.userId)
  const [place] = await ctx.database.read(selectPlace, [
    eventIdBytes(receipt.eventId),
    user.userNid,
    receipt.type,
    receipt.threadId,
  ])
  if (place?.room !== room.room || place.timeline === null) throw new MatrixError('M_NOT_FOUND', 'Event not found')
  if (place.receipt_timeline !== null && place.receipt_timeline >= place.timeline) return
  await ctx.writer.write(receiptUnit(user, { ...receipt, ...place, ts: ctx.clock.now() }))
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
      } satisfies Fact)
      // A receipt for one thread says nothing of the others, so the room as a whole stays unread.
      if (threadId !== '' && threadId !== 'main') return
      batch.add(saveReadPositions, {
        user_nid: user.userNid,
        room,
        read_position: receipt.timeline!,
        read_notify_index: receipt.notify_index,
        read_highlight_index: receipt.highlight_index,
      })
      batch.add(deletePushExceptions, { user_nid: user.userNid, room, up_to: receipt.timeline! })
      batch.fact({
        kind: 'read',
        position,
        room,
        userNid: user.userNid,
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
