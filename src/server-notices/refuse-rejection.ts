import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { noticeRoomOf } from '../storage/server-notices.ts'

/**
 * Holds a user to the invite of the room with the server's notices: once they have joined they may leave.
 *
 * Spec: Client-Server API, "Server Notices": "The client must not expect to be able to reject an invite" (v1.19).
 *
 * @throws MatrixError M_CANNOT_LEAVE_SERVER_NOTICE_ROOM
 */
export async function refuseRejection(
  ctx: Pick<Context, 'config' | 'database' | 'hotRooms'>,
  roomId: RoomId,
  user: { readonly userId: UserId; readonly userNid: number },
): Promise<void> {
  if (ctx.config.server_notices.localpart === undefined) return
  const room = await ctx.hotRooms.get(roomId)
  if (!room) return
  await ctx.hotRooms.load(room, [['m.room.member', user.userId]])
  if (room.get('m.room.member', user.userId)?.pdu.content.membership !== 'invite') return
  const [row] = await ctx.database.read(noticeRoomOf, [user.userNid])
  if (row?.room_id !== roomId) return
  throw new MatrixError('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM', 'The invite to the server’s notices cannot be rejected')
}
