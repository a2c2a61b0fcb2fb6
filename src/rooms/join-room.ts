import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { changeMembership, type MembershipEngine } from './membership.ts'

/**
 * Joins a user to a room. Joining again changes nothing.
 *
 * @param body What the client sent besides: `reason`, and keys of its own for the event's content.
 * @throws MatrixError M_NOT_FOUND for a room that no server known here is in; M_FORBIDDEN.
 */
export async function joinRoom(
  ctx: MembershipEngine,
  roomId: RoomId,
  userId: UserId,
  body: JsonObject = {},
): Promise<RoomId> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'No server that is in this room is known')
  await ctx.hotRooms.load(room, [['m.room.member', userId]])
  if (room.get('m.room.member', userId)?.pdu.content.membership === 'join') return roomId
  const { reason, third_party_signed: _signed, ...content } = body as { [key: string]: Json }
  await changeMembership(ctx, roomId, {
    sender: userId,
    target: userId,
    membership: 'join',
    ...(typeof reason === 'string' && { reason }),
    content,
  })
  return roomId
}
