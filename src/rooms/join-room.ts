import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { type Statement, statement } from '../storage/database.ts'
import { changeMembership, type MembershipEngine, membershipContent } from './membership.ts'

const localMember: Statement<{ one: number }> = statement(
  'a local member of a room',
  'select 1 as one from room_users join accounts using (user_nid) where room = $1 and membership = 1 limit 1',
)

/**
 * Joins a user to a room. Joining again changes nothing.
 *
 * @param via Servers that may be in the room, when this deployment is not.
 * @param body What the client sent besides: `reason`, and keys of its own for the event's content.
 * @throws MatrixError M_NOT_FOUND for a room that no server known here is in; M_FORBIDDEN.
 */
export async function joinRoom(
  ctx: MembershipEngine & Pick<Context, 'remoteServers'>,
  roomId: RoomId,
  userId: UserId,
  body: JsonObject = {},
  via: readonly ServerName[] = [],
): Promise<RoomId> {
  const room = await ctx.hotRooms.get(roomId)
  await (room && ctx.hotRooms.load(room, [['m.room.member', userId]]))
  if (room?.get('m.room.member', userId)?.pdu.content.membership === 'join') return roomId
  const { reason, third_party_signed: _signed, ...content } = body as { [key: string]: Json }
  const change = {
    sender: userId,
    target: userId,
    membership: 'join',
    ...(typeof reason === 'string' && { reason }),
    content,
  } as const
  const remote = ctx.remoteServers.current
  if (room && (!remote.isOn || (await ctx.database.read(localMember, [room.room])).length > 0)) {
    await changeMembership(ctx, roomId, change)
    return roomId
  }
  if (!remote.isOn) throw new MatrixError('M_NOT_FOUND', 'No server that is in this room is known')
  const named = serverNameOf(roomId)
  const inviter = room?.get('m.room.member', userId)?.pdu.sender
  const servers = [...via, ...(inviter ? [serverNameOf(inviter)] : []), ...(named === undefined ? [] : [named])]
  await remote.join(roomId, userId, servers, await membershipContent(ctx, change))
  return roomId
}
