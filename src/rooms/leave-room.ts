import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { changeMembership, type MembershipEngine } from './membership.ts'

/**
 * Takes a user out of a room, also by refusing an invite or taking back a knock. Leaving again changes nothing.
 *
 * @throws MatrixError M_FORBIDDEN for who has nothing to leave.
 */
export async function leaveRoom(
  ctx: MembershipEngine,
  roomId: RoomId,
  userId: UserId,
  reason: string | undefined,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  await ctx.hotRooms.load(room, [['m.room.member', userId]])
  if (room.get('m.room.member', userId)?.pdu.content.membership === 'leave') return
  await changeMembership(ctx, roomId, {
    sender: userId,
    target: userId,
    membership: 'leave',
    ...(reason !== undefined && { reason }),
  })
}
