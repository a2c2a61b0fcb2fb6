import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { leaveRoom } from '../rooms/leave-room.ts'
import { deactivatedUsersInRooms } from '../storage/accounts.ts'
import { membershipCodes, roomsOfUser } from '../storage/room-users.ts'

const present: readonly number[] = [membershipCodes.join, membershipCodes.invite, membershipCodes.knock]

/** So many at once that the writer can commit them together. */
const atOnce = 32

/** Takes a user out of every room, invites and knocks among them. A room that cannot be left does not hold up the others. */
export async function leaveAllRooms(ctx: Context, user: { userId: UserId; userNid: number }): Promise<void> {
  const rooms = await ctx.database.read(roomsOfUser, [user.userNid])
  const toLeave = rooms.filter((room) => present.includes(room.membership)).map((room) => room.room_id)
  for (let start = 0; start < toLeave.length; start += atOnce) {
    await Promise.all(toLeave.slice(start, start + atOnce).map((roomId) => leave(ctx, roomId, user.userId)))
  }
}

/** Takes out those who were deactivated by a process that ended before they had left everywhere. */
export async function finishDeactivations(ctx: Context): Promise<void> {
  for (const user of await deactivatedUsersInRooms(ctx.database.db, present)) await leaveAllRooms(ctx, user)
}

async function leave(ctx: Context, roomId: RoomId, userId: UserId): Promise<void> {
  try {
    await leaveRoom(ctx, roomId, userId, undefined)
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    ctx.log.warn({ roomId, userId, errcode: error.errcode }, 'A deactivated user could not leave a room')
  }
}
