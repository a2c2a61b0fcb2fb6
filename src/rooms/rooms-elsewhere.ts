import type { Context } from '../context.ts'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { serverNameOf } from '../matrix/ids.ts'
import type { HotRoom } from './hot-room.ts'
import type { ToldRoom, ToldSpace } from './ports.ts'
import { localMember, remoteMembershipOf, serversKnowing } from './remote-memberships.ts'
import { isJoined } from './room-access.ts'

type Engine = Pick<Context, 'database' | 'domains' | 'hotRooms' | 'remoteServers'>

/** A room that one of us is in, so that what is known of it here holds; without other servers, every room that is known. */
export async function roomHere(ctx: Engine, roomId: RoomId): Promise<HotRoom | undefined> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room || !ctx.remoteServers.current.isOn) return room
  return (await localMember(ctx, room)) === undefined ? undefined : room
}

/**
 * What other servers say of a room that none of us is in, for a user of ours who may know of it: who is invited or knocks,
 * and who may come in by asking or at once.
 *
 * Spec: Server-Server API, `GET /hierarchy/{roomId}` (v1.19).
 *
 * @param via Servers that may be in the room.
 */
export async function askAbout(
  ctx: Engine,
  roomId: RoomId,
  userId: UserId,
  via: readonly ServerName[],
  suggestedOnly: boolean,
): Promise<ToldSpace | undefined> {
  const servers = await serversKnowing(ctx, roomId, userId, via)
  const told = await ctx.remoteServers.current.hierarchy(roomId, servers, serverNameOf(userId), suggestedOnly)
  return told && (await mayKnowOf(ctx, told.room, userId)) ? told : undefined
}

/** "The requesting server is responsible for filtering the results further down for the user's request." */
export async function mayKnowOf(ctx: Engine, told: ToldRoom, userId: UserId): Promise<boolean> {
  const { join_rule: joinRule } = told
  const elsewhere = await remoteMembershipOf(ctx, told.room_id, userId)
  if (elsewhere?.membership === 'ban') return false
  if (elsewhere?.membership === 'invite' || told.world_readable) return true
  if (joinRule === 'public' || joinRule === 'knock' || joinRule === 'knock_restricted') return true
  for (const roomId of told.allowed_room_ids ?? []) {
    const other = await roomHere(ctx, roomId)
    if (other && (await isJoined(ctx, other, userId))) return true
  }
  return false
}
