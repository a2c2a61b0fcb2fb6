import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { isForUs } from './join-room.ts'
import { changeMembership, type MembershipEngine, membershipContent } from './membership.ts'
import { saveRemoteMembership, serversKnowing } from './remote-memberships.ts'
import { openRemoteRoom } from './remote-room.ts'

/**
 * Asks for being let into a room, through another server where this deployment is not in it.
 *
 * Spec: Client-Server API, "Knocking on rooms" (v1.19).
 *
 * @param via Servers that may be in the room.
 * @throws MatrixError M_FORBIDDEN; M_NOT_FOUND for a room that no server known here is in.
 */
export async function knockRoom(
  ctx: MembershipEngine,
  roomId: RoomId,
  userId: UserId,
  reason: string | undefined,
  via: readonly ServerName[],
): Promise<void> {
  const change = {
    sender: userId,
    target: userId,
    membership: 'knock',
    ...(reason !== undefined && { reason }),
  } as const
  const room = await ctx.hotRooms.get(roomId)
  if (room && (await isForUs(ctx, room, userId, via))) {
    await changeMembership(ctx, roomId, change)
    return
  }
  const servers = await serversKnowing(ctx, roomId, userId, via)
  const content = await membershipContent(ctx, change)
  const taken = await ctx.remoteServers.current.knock(roomId, userId, servers, content)
  const opened = await openRemoteRoom(ctx, roomId, taken.roomVersion)
  const { event, stripped, server } = taken
  await saveRemoteMembership(ctx, opened, { event, stripped, servers: [...new Set([server, ...servers])] })
}
