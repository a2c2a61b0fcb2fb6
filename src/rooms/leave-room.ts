import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { buildEvent } from '../matrix/event-format.ts'
import { referenceHash } from '../matrix/hashes.ts'
import { type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_DEPTH } from '../matrix/limits.ts'
import { roomRules } from '../matrix/room-versions.ts'
import { changeMembership, type MembershipEngine } from './membership.ts'
import { type RemoteMembership, remoteMembershipOf, saveRemoteMembership } from './remote-memberships.ts'
import { openRemoteRoom } from './remote-room.ts'

/**
 * Takes a user out of a room, also by refusing an invite or taking back a knock. Leaving again changes nothing.
 *
 * @throws MatrixError M_FORBIDDEN for who has nothing to leave.
 */
export async function leaveRoom(
  ctx: MembershipEngine,
  roomId: RoomId,
  userId: UserId,
  reason: string | undefined,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  const elsewhere = await remoteMembershipOf(ctx, roomId, userId)
  if (elsewhere) {
    const { membership } = elsewhere
    if (membership === 'invite' || membership === 'knock') await leaveElsewhere(ctx, roomId, userId, elsewhere, reason)
    return
  }
  await ctx.hotRooms.load(room, [['m.room.member', userId]])
  if (room.get('m.room.member', userId)?.pdu.content.membership === 'leave') return
  await changeMembership(ctx, roomId, {
    sender: userId,
    target: userId,
    membership: 'leave',
    ...(reason !== undefined && { reason }),
  })
}

/** The user is rid of the invite also where no server that knows the room answers. */
async function leaveElsewhere(
  ctx: MembershipEngine,
  roomId: RoomId,
  userId: UserId,
  elsewhere: RemoteMembership,
  reason: string | undefined,
): Promise<void> {
  const content = { membership: 'leave', ...(reason !== undefined && { reason }) }
  const { servers, roomVersion } = elsewhere
  let event: RoomEvent
  try {
    event = (await ctx.remoteServers.current.leave(roomId, userId, servers, content)).event
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    event = leaveForUs(ctx, userId, elsewhere, content)
  }
  const room = await openRemoteRoom(ctx, roomId, roomVersion)
  await saveRemoteMembership(ctx, room, { event, stripped: [], servers })
}

/** A leaving that nobody else hears of. */
function leaveForUs(
  ctx: Pick<Context, 'clock' | 'domains' | 'random'>,
  userId: UserId,
  { event, roomVersion }: RemoteMembership,
  content: JsonObject,
): RoomEvent {
  const rules = roomRules(roomVersion)!
  const domain = serverNameOf(userId)
  const draft = {
    type: 'm.room.member',
    sender: userId,
    stateKey: userId,
    roomId: event.roomId,
    content,
    originServerTs: ctx.clock.now(),
    depth: Math.min(event.pdu.depth + 1, MAX_DEPTH),
    prevEvents: [event.eventId],
    authEvents: [event.eventId],
    ...(rules.eventFormat === 'v1' && {
      eventIdLocalpart: ctx.random.token(18),
      hashesOf: new Map([[event.eventId, referenceHash(event.pdu, rules)]]),
    }),
  }
  return buildEvent(draft, rules, domain, ctx.domains.keyOf(domain))
}
