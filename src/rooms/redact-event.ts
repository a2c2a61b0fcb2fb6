import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { isJoined } from './room-access.ts'
import { mayRedact, mayRedactAll, redactionTarget, sendEvent } from './send-event.ts'
import type { Transaction } from './write-room.ts'

/**
 * Redacts an event: one's own, or with the power to anybody's.
 *
 * Spec: Client-Server API, "Redactions".
 *
 * @throws MatrixError M_FORBIDDEN; M_NOT_FOUND for who may redact own events only, when the room has no such event.
 */
export async function redactEvent(
  ctx: Parameters<typeof sendEvent>[0],
  roomId: RoomId,
  redaction: { readonly sender: UserId; readonly redacts: EventId; readonly reason?: string },
  transaction: Transaction,
): Promise<EventId> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room || !(await isJoined(ctx, room, redaction.sender))) {
    throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
  }
  const target = await redactionTarget(ctx, room, redaction.redacts)
  // An event that this server has not seen may be redacted by who may redact anything: other servers have it.
  if (!target && !mayRedactAll(room, redaction.sender)) throw new MatrixError('M_NOT_FOUND', 'Event not found')
  if (target && target.event.pdu.sender !== redaction.sender) {
    if (!mayRedact(room, redaction, target, { byLevel: true })) {
      throw new MatrixError('M_FORBIDDEN', 'You may not redact events of others')
    }
  }
  const content = {
    ...(room.rules.redactsIn === 'content' && { redacts: redaction.redacts }),
    ...(redaction.reason !== undefined && { reason: redaction.reason }),
  }
  const draft = { type: 'm.room.redaction', sender: redaction.sender, content, redacts: redaction.redacts }
  return sendEvent(ctx, roomId, draft, transaction)
}
