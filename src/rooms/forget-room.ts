import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'

const markForgotten = statement<{ room: number }>(
  'forget a room',
  'update room_users set forgotten = true where user_nid = $1 and room = $2 and membership in (0, 4) returning room',
)

/**
 * Lets a user who has left forget a room: it is no longer shown to them at all.
 *
 * Spec: Client-Server API, "Leaving rooms".
 *
 * @throws MatrixError M_UNKNOWN (400) for who is still in the room.
 */
export async function forgetRoom(
  ctx: Pick<Context, 'database' | 'sessions' | 'invalidations'>,
  roomId: RoomId,
  user: Parameters<Context['sessions']['of']>[0],
): Promise<void> {
  const session = await ctx.sessions.of(user)
  const userRoom = [...session.rooms.values()].find((one) => one.roomId === roomId)
  if (!userRoom) throw new MatrixError('M_NOT_FOUND', 'You were never in this room')
  const [row] = await ctx.database.read(markForgotten, [user.userNid, userRoom.room])
  if (!row) throw new MatrixError('M_UNKNOWN', 'You have to leave the room before you forget it', { status: 400 })
  ctx.invalidations.publish('user-rooms', `${user.userNid}`)
}
