import { refuseBlockedInvite } from '../../src/account-data/invite-permissions.ts'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { parseEvent } from '../../src/matrix/event-format.ts'
import { parseEventId, parseRoomId, parseUserId, type RoomId, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { offeredRules, type RoomRules, roomRules } from '../../src/matrix/room-versions.ts'
import { signEvent } from '../../src/matrix/signatures.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { localMember, remoteMembershipOf, saveRemoteMembership } from '../../src/rooms/remote-memberships.ts'
import { openRemoteRoom } from '../../src/rooms/remote-room.ts'
import { findAccount } from '../../src/storage/accounts.ts'
import type { Federation } from '../federation.ts'
import { checkPdu } from '../receive/check-pdu.ts'
import { receiveEvents } from '../receive/receive-events.ts'
import { refuseByAcl } from '../server-acl.ts'
import { inviteStateProblem, strippedOf } from '../stripped-state.ts'
import { type FederationCall, federationEndpoint } from './federation-endpoint.ts'

/** The invite, and events of the room's state as large as they may be. */
const bodyLimit = 1024 * 1024

type Invite = {
  readonly event: Json | undefined
  readonly rules: RoomRules
  /** What the other server shows of the room. */
  readonly shown: Json | undefined
}

/** Spec: Server-Server API, "Inviting to a room", `PUT /v2/invite` and `PUT /v1/invite` (v1.19). */
export function inviteOperations(federation: Federation): Endpoint[] {
  const params = { roomId: parseRoomId, eventId: parseEventId }
  return [
    federationEndpoint(federation, {
      method: 'put',
      path: '/_matrix/federation/v2/invite/{roomId}/{eventId}',
      params,
      bodyLimit,
      async handle(call) {
        const { event, room_version: version, invite_room_state: shown } = call.body
        const rules =
          typeof version === 'string' ? offeredRules(version, federation.ctx.config.experimental) : undefined
        if (!rules) throw unsupported(version)
        return { event: await takeInvite(federation, call, { event, rules, shown }) }
      },
    }),
    federationEndpoint(federation, {
      method: 'put',
      path: '/_matrix/federation/v1/invite/{roomId}/{eventId}',
      params,
      bodyLimit,
      async handle(call) {
        const known = await federation.ctx.hotRooms.get(call.params.roomId as RoomId)
        // Of the versions that this operation serves, the first two look alike.
        const rules = known?.rules ?? roomRules('1')!
        if (rules.eventFormat !== 'v1') throw unsupported(rules.version)
        const shown = (call.body.unsigned as JsonObject | undefined)?.invite_room_state
        return [200, { event: await takeInvite(federation, call, { event: call.body, rules, shown }) }]
      },
    }),
  ]
}

function unsupported(version: Json | undefined): MatrixError {
  return new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', 'The version of this room is not supported', {
    ...(typeof version === 'string' && { extra: { room_version: version.slice(0, 255) } }),
  })
}

/** Signs an invite of one of our users, once everything about it is checked. */
async function takeInvite(federation: Federation, call: FederationCall, invite: Invite): Promise<JsonObject> {
  const { ctx } = federation
  const { rules, shown } = invite
  const event = await checkedInvite(federation, call, invite)
  const { roomId } = event
  const userId = event.pdu.state_key as UserId
  const problem = await inviteStateProblem(federation, shown, roomId, rules)
  if (problem !== undefined) throw new MatrixError('M_INVALID_PARAM', problem)
  const account = await findAccount(ctx.database.db, userId)
  if (!account || account.deactivated_at !== null)
    throw new MatrixError('M_FORBIDDEN', 'There is no such user to invite')
  ctx.blockedRooms.refuse(roomId)
  await ctx.rateLimits.take('invite_room', roomId)
  await ctx.rateLimits.take('invite_user', userId)
  const verdict = await refuseBlockedInvite(ctx, userId, event.pdu.sender)
  const known = await ctx.hotRooms.get(roomId)
  if (known) refuseByAcl(known, call.origin)
  if (known && known.rules !== rules) throw new MatrixError('M_INVALID_PARAM', 'The room is of another version')
  const pdu = signEvent(event.pdu, call.destination, ctx.domains.keyOf(call.destination), rules)
  const { unsigned: _unsigned, ...kept } = pdu
  const signed = { ...event, pdu: kept }
  if (known && (await localMember(ctx, known)) !== undefined) await takeIntoRoom(federation, call, known, signed)
  // Whom the user ignores learns nothing of it.
  else if (verdict === 'allow') await showToUser(federation, call, signed, invite)
  return pdu as unknown as JsonObject
}

/** @throws MatrixError M_INVALID_PARAM for everything that is no invite of a user of this domain by one of the origin. */
async function checkedInvite(
  federation: Federation,
  { origin, destination, params }: FederationCall,
  { event, rules }: Invite,
): Promise<RoomEvent> {
  const invalid = (reason: string) => new MatrixError('M_INVALID_PARAM', reason)
  if (typeof event !== 'object' || event === null || Array.isArray(event)) throw invalid('event is not an object')
  const parsed = parseEvent(event as JsonObject, rules)
  if ('error' in parsed) throw invalid(parsed.error)
  const { pdu, eventId, roomId } = parsed.event
  const target = pdu.state_key === undefined ? undefined : parseUserId(pdu.state_key)
  const isInvite =
    pdu.type === 'm.room.member' &&
    pdu.content.membership === 'invite' &&
    serverNameOf(pdu.sender) === origin &&
    target !== undefined &&
    serverNameOf(target) === destination
  if (!isInvite) throw invalid('This is no invite of one of our users by one of yours')
  if (roomId !== params.roomId || eventId !== params.eventId) throw invalid('The invite is not the one of the path')
  const checked = await checkPdu(federation, event, roomId, rules)
  if (checked.error !== undefined) throw invalid(checked.error)
  return checked.event
}

/** This deployment is in the room, and will hear of the invite by a transaction too. */
async function takeIntoRoom(
  federation: Federation,
  { origin }: FederationCall,
  room: HotRoom,
  event: RoomEvent,
): Promise<void> {
  const [taken] = await receiveEvents(federation, origin, room, [event])
  if (taken?.outcome === 'rejected') throw new MatrixError('M_FORBIDDEN', 'The user may not be invited')
}

async function showToUser(
  federation: Federation,
  { origin }: FederationCall,
  event: RoomEvent,
  { rules, shown }: Invite,
): Promise<void> {
  const { ctx } = federation
  const { roomId } = event
  const before = await remoteMembershipOf(ctx, roomId, event.pdu.state_key as UserId)
  // Asked again because the answer got lost, or late: the user may have answered it by now.
  if (before?.event.eventId === event.eventId) return
  const stripped = await strippedOf(federation, shown, roomId, rules)
  const room = await openRemoteRoom(ctx, roomId, rules.version)
  const servers = [origin, ...(before?.servers ?? []).filter((server) => server !== origin)].slice(0, 10)
  await saveRemoteMembership(ctx, room, { event, stripped, servers })
}
