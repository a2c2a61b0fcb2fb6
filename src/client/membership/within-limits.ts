import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { isUnlimited } from '../../http/rate-limit.ts'
import type { RoomId, ServerName } from '../../matrix/ids.ts'
import type { Json, JsonObject } from '../../matrix/json.ts'
import { refuseGuest } from '../../rooms/guests.ts'
import { joinRoom } from '../../rooms/join-room.ts'
import { isJoined } from '../../rooms/room-access.ts'

/**
 * Joins a room, unless too many join it, the requester joins too many rooms of other servers, or guests may not. Only joins that
 * come about count for the room, so nobody keeps others out by trying.
 *
 * @throws MatrixError M_LIMIT_EXCEEDED, M_GUEST_ACCESS_FORBIDDEN; what `joinRoom` throws.
 */
export async function joinWithinLimits(
  ctx: Context,
  requester: Requester,
  roomId: RoomId,
  body: JsonObject,
  via: readonly ServerName[] = [],
): Promise<RoomId> {
  const { isGuest: isOfGuest } = requester
  if (isOfGuest) await refuseGuest(ctx, roomId)
  if (isUnlimited(requester)) return joinRoom(ctx, roomId, requester.userId, body, via, { isOfGuest })
  let isNew = false
  const permit = async (where: 'here' | 'elsewhere'): Promise<void> => {
    isNew = true
    await ctx.rateLimits.check('join_room', roomId)
    if (where === 'elsewhere') await ctx.rateLimits.take('join_remote', requester.userId)
  }
  const joined = await joinRoom(ctx, roomId, requester.userId, body, via, { permit, isOfGuest })
  if (isNew) await ctx.rateLimits.charge('join_room', roomId, 1)
  return joined
}

/**
 * Counts an invite for its room and for who is invited; endpoints that do nothing but invite count it for who invites.
 *
 * @throws MatrixError M_LIMIT_EXCEEDED
 */
export async function countInvite(
  ctx: Pick<Context, 'rateLimits'>,
  requester: Requester,
  roomId: RoomId,
  target: string,
): Promise<void> {
  if (isUnlimited(requester)) return
  await ctx.rateLimits.take('invite_room', roomId)
  await ctx.rateLimits.take('invite_user', target)
}

/**
 * Counts the invites that come with a new room. More than a burst of them may begin, and who invites then waits the longer.
 *
 * @throws MatrixError M_LIMIT_EXCEEDED
 */
export async function countInvitesOfNewRoom(
  ctx: Pick<Context, 'rateLimits'>,
  requester: Requester,
  targets: readonly string[],
): Promise<void> {
  if (targets.length === 0 || isUnlimited(requester)) return
  await ctx.rateLimits.check('invite_issuer', requester.userId)
  for (const target of new Set(targets)) await ctx.rateLimits.take('invite_user', target)
  await ctx.rateLimits.charge('invite_issuer', requester.userId, targets.length)
}

/**
 * The limits of joins and invites, for a membership that is set as any state is.
 *
 * @returns what is to be called once it is set.
 * @throws MatrixError M_LIMIT_EXCEEDED
 */
export async function withinLimits(
  ctx: Pick<Context, 'hotRooms' | 'rateLimits'>,
  requester: Requester,
  roomId: RoomId,
  { membership, target }: { readonly membership: Json | undefined; readonly target: string },
): Promise<() => Promise<void>> {
  const nothing = async (): Promise<void> => {}
  if (isUnlimited(requester)) return nothing
  const { userId } = requester
  if (membership === 'invite') {
    await ctx.rateLimits.take('invite_issuer', userId)
    await countInvite(ctx, requester, roomId, target)
  }
  if (membership !== 'join' || target !== userId) return nothing
  const room = await ctx.hotRooms.get(roomId)
  // A new name in the room, or a new picture.
  if (!room || (await isJoined(ctx, room, userId))) return nothing
  if (requester.isGuest) await refuseGuest(ctx, roomId)
  await ctx.rateLimits.take('join_local', userId)
  await ctx.rateLimits.check('join_room', roomId)
  return () => ctx.rateLimits.charge('join_room', roomId, 1)
}
