import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import { publishInNetwork, withdrawFromNetwork } from '../storage/application-services.ts'
import type { ApplicationService } from './registration.ts'

/**
 * Lists a room in the directory of a service's network, or withdraws it.
 *
 * @throws MatrixError M_NOT_FOUND
 */
export async function setListedInNetwork(
  ctx: Pick<Context, 'database' | 'hotRooms'>,
  service: ApplicationService,
  networkId: string,
  roomId: RoomId,
  listed: boolean,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  await ctx.database.read(listed ? publishInNetwork : withdrawFromNetwork, [service.id, networkId, room.room])
}
