import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { changeMembership, type MembershipEngine } from './membership.ts'

/**
 * Invites a user to a room.
 *
 * @throws MatrixError M_FORBIDDEN, also for who is a member already.
 */
export async function inviteUser(
  ctx: MembershipEngine,
  roomId: RoomId,
  invite: { readonly sender: UserId; readonly target: UserId; readonly reason?: string },
): Promise<void> {
  ctx.blockedRooms.refuse(roomId)
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
  await changeMembership(ctx, roomId, { ...invite, membership: 'invite' })
}
