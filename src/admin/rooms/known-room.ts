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
  // One of which only invites of other servers are known has no events.
  if (!room || room.extremities.length === 0) throw new MatrixError('M_NOT_FOUND', 'Room not found')
  return room
}
