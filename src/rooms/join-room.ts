import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { followReplacement } from './follow-replacement.ts'
import { guestForbidden } from './guest-access.ts'
import type { HotRoom } from './hot-room.ts'
import { changeMembership, type MembershipEngine, membershipContent } from './membership.ts'
import { localMember, serversKnowing } from './remote-memberships.ts'

export type JoinOptions = {
  /** Asked before a join that changes something, made here or by way of another server. @throws where it may not be now. */
  readonly permit?: (where: 'here' | 'elsewhere') => Promise<void>
  /** The user is a guest: the state that the join is written on must let guests in. */
  readonly isOfGuest?: boolean
}

/**
 * Joins a user to a room. Joining again changes nothing.
 *
 * @param via Servers that may be in the room, when this deployment is not.
 * @param body What the client sent besides: `reason`, and keys of its own for the event's content.
 * @throws MatrixError M_NOT_FOUND for a room that no server known here is in; M_FORBIDDEN; M_GUEST_ACCESS_FORBIDDEN.
 */
export async function joinRoom(
  ctx: MembershipEngine,
  roomId: RoomId,
  userId: UserId,
  body: JsonObject = {},
  via: readonly ServerName[] = [],
  { permit = async () => {}, isOfGuest = false }: JoinOptions = {},
): Promise<RoomId> {
  ctx.blockedRooms.refuse(roomId)
  const room = await ctx.hotRooms.get(roomId)
  await (room && ctx.hotRooms.load(room, [['m.room.member', userId]]))
  const before = room?.get('m.room.member', userId)?.pdu.content.membership
  if (before === 'join') return roomId
  const isNew = before !== 'leave' && before !== 'ban'
  const { reason, third_party_signed: _signed, ...content } = body as { [key: string]: Json }
  const change = {
    sender: userId,
    target: userId,
    membership: 'join',
    ...(typeof reason === 'string' && { reason }),
    content,
    isOfGuest,
  } as const
  const remote = ctx.remoteServers.current
  // Who is not known as a member may be banned.
  const isUnknown = before === undefined && room?.partialState === true
  if (room && !isUnknown && (await isForUs(ctx, room, userId, via))) {
    await permit('here')
    try {
      await changeMembership(ctx, roomId, change)
      if (isNew) await followReplacement(ctx, roomId, userId)
      return roomId
    } catch (error) {
      // Nobody of us may let the user in; somebody elsewhere may.
      if (!remote.isOn || !(error instanceof MatrixError) || error.errcode !== 'M_UNABLE_TO_GRANT_JOIN') throw error
    }
  }
  if (isOfGuest) throw guestForbidden()
  const servers = await serversKnowing(ctx, roomId, userId, via)
  await permit('elsewhere')
  try {
    await remote.join(roomId, userId, servers, await membershipContent(ctx, change))
  } catch (error) {
    const isUnanswered = error instanceof MatrixError && error.errcode === 'M_NOT_FOUND'
    // Where nobody says otherwise, what was heard last stands.
    if (isUnanswered && before === 'ban') throw new MatrixError('M_FORBIDDEN', 'You are banned from this room')
    throw error
  }
  if (isNew) await followReplacement(ctx, roomId, userId)
  return roomId
}

/** Whether a membership is decided here: this deployment is in the room, or nobody else can be. */
export async function isForUs(
  ctx: Pick<Context, 'database' | 'domains' | 'hotRooms' | 'remoteServers'>,
  room: HotRoom,
  userId: UserId,
  via: readonly ServerName[],
): Promise<boolean> {
  if (!ctx.remoteServers.current.isOn || (await localMember(ctx, room)) !== undefined) return true
  if (room.extremities.length === 0) return false
  const servers = await serversKnowing(ctx, room.roomId, userId, via)
  return servers.every((server) => ctx.domains.isLocal(server))
}
