import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { RoomAlias, RoomId } from '../../matrix/ids.ts'
import type { HotRoom } from '../../rooms/hot-room.ts'
import { resolveRoom } from '../../rooms/resolve-room.ts'

/** @throws MatrixError M_NOT_FOUND for a room that is not known here. */
export async function knownRoom(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'domains' | 'remoteServers'>,
  idOrAlias: RoomId | RoomAlias,
): Promise<HotRoom> {
  const { roomId } = await resolveRoom(ctx, idOrAlias)
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Room not found')
  return room
}
