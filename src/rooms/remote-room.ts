import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import { roomRules } from '../matrix/room-versions.ts'
import { insertRemoteRoom } from '../storage/room-state.ts'
import type { HotRoom } from './hot-room.ts'

/**
 * The room of another server, known from here on: it has no events until the first is accepted with the state before it.
 * A room that is known already stays as it is.
 *
 * @throws MatrixError M_INCOMPATIBLE_ROOM_VERSION
 */
export async function openRemoteRoom(
  ctx: Pick<Context, 'database' | 'hotRooms'>,
  roomId: RoomId,
  roomVersion: string,
): Promise<HotRoom> {
  const rules = roomRules(roomVersion)
  if (!rules) {
    throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', `Room version ${roomVersion} is not supported`, {
      extra: { room_version: roomVersion },
    })
  }
  await ctx.database.read(insertRemoteRoom, [roomId, rules.version])
  const room = await ctx.hotRooms.get(roomId)
  if (room?.rules !== rules) {
    throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', 'The room is of another version', {
      extra: { room_version: roomVersion },
    })
  }
  return room
}
