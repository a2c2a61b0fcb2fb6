import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { parseServerName, type RoomId, type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { RoomRules } from '../../src/matrix/room-versions.ts'
import { POLICY_SERVER_KEY_ID } from '../../src/matrix/signatures.ts'
import { type Acceptance, acceptEvent, type Failure } from '../../src/rooms/accept-event.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { isPolicyItself, isRecommended, policyServerIn, withPolicySignature } from '../../src/rooms/policy-server.ts'
import { localMember } from '../../src/rooms/remote-memberships.ts'
import { openRemoteRoom } from '../../src/rooms/remote-room.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import { abandonPartialRoom, beginPartialRoom, keepPartialRoom } from '../../src/storage/partial-rooms.ts'
import type { Federation } from '../federation.ts'
import { checkPdu } from '../receive/check-pdu.ts'
import { receiveAfterGap } from '../receive/receive-events.ts'
import { storedOf } from './fetch-state.ts'
import { makeMembership, objectOf, type WantedMembership } from './membership-template.ts'
import { tryServers } from './try-servers.ts'

/** Room for a state of many thousand members. */
const mostStateBytes = 512 * 1024 * 1024
const mostServersInRoom = 50_000

/**
 * Joins a room through a server that is in it: of what that server proposes only the place in the graph is used, and the
 * state it tells is believed as far as it is signed and follows the rules. What arrives for the room meanwhile waits.
 *
 * Spec: Server-Server API, "Joining Rooms" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN, M_UNABLE_TO_AUTHORISE_JOIN, M_UNABLE_TO_GRANT_JOIN, M_INCOMPATIBLE_ROOM_VERSION;
 * M_NOT_FOUND when none of the servers helps.
 */
export async function joinRemoteRoom(
  federation: Federation,
  roomId: RoomId,
  userId: UserId,
  via: readonly ServerName[],
  content: JsonObject,
): Promise<void> {
  const wanted: WantedMembership = { membership: 'join', roomId, userId, content }
  const known = await federation.ctx.hotRooms.get(roomId)
  // Where one of our users is, all members are known, unless they are being fetched.
  const isWhole = known && !known.partialState && (await localMember(federation.ctx, known)) !== undefined
  const omitMembers = federation.ctx.config.federation.fast_joins && !isWhole
  const joining = tryServers(federation, roomId, via, (server) => joinThrough(federation, server, wanted, omitMembers))
  await federation.joining.during(roomId, joining)
}

async function joinThrough(
  federation: Federation,
  server: ServerName,
  wanted: WantedMembership,
  omitMembers: boolean,
): Promise<void> {
  const { ctx, client, checks } = federation
  const { roomId, userId } = wanted
  const { event: join, rules } = await makeMembership(federation, server, wanted)
  const path = `/_matrix/federation/v2/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(join.eventId)}`
  const [state, authChain]: [RoomEvent[], RoomEvent[]] = [[], []]
  const request = {
    method: 'PUT',
    uri: omitMembers ? `${path}?omit_members=true` : path,
    body: join.pdu as unknown as JsonObject,
    origin: serverNameOf(userId),
    timeout: 120_000,
    maxBytes: mostStateBytes,
  } as const
  const answer = await client.sendForLists(server, request, {
    lists: ['state', 'auth_chain'],
    async take(elements) {
      const texts = elements.map(({ bytes }) => bytes)
      for (const { index, event } of await checks.check(roomId, rules, texts)) {
        if (elements[index]!.list === 'state') state.push(event)
        else authChain.push(event)
      }
    },
  })
  const signed = await signedJoin(federation, answer.event, join, roomId, rules)
  const event = asRecommended(signed, answer.event, state, rules)
  refuseWithoutCreate([...state, ...authChain], rules)
  const room = await openRemoteRoom(ctx, roomId, rules.version)
  federation.passedOn.set(event.eventId, true)
  const refused = await storeOutliers(ctx, roomId, [...authChain, ...state])
  if (await isContinued(federation, room, event)) {
    return refuseUnlessAccepted(await receiveAfterGap(federation, server, room, event))
  }
  const lacksMembers = omitMembers && answer.members_omitted === true
  if (lacksMembers) await beginWithoutMembers(federation, room, join, server, answer.servers_in_room)
  const told = state.filter(({ pdu }) => pdu.state_key !== undefined).map(({ eventId }) => eventId)
  const stateBefore = told.filter((eventId) => !refused.has(eventId))
  const outcome = await acceptEvent(ctx, event, { stateBefore, restarts: true })
  if (lacksMembers && !isAccepted(outcome)) await ctx.database.read(abandonPartialRoom, [room.room, endOfTime])
  refuseUnlessAccepted(outcome)
  if (lacksMembers) ctx.invalidations.publish('partial-rooms', '')
}

/** Milliseconds for which a room without members is not given up by us, since somebody is about to be in it. */
const keptFor = 10 * 60_000
const endOfTime = Number.MAX_SAFE_INTEGER

/**
 * Whether the members of the room are being fetched, and nothing was missed since: another of our users is in it, or the join
 * follows what is here. Then the fetching goes on, and the join is one event more.
 */
async function isContinued(federation: Federation, room: HotRoom, join: RoomEvent): Promise<boolean> {
  const { ctx } = federation
  const [kept] = await ctx.database.read(keepPartialRoom, [room.room, ctx.clock.now() + keptFor])
  if (!kept) return false
  if ((await localMember(ctx, room)) !== undefined) return true
  const placed = await storedOf(federation, room, join.prevEvents, { placed: true })
  return join.prevEvents.every((eventId) => placed.has(eventId))
}

function isAccepted({ outcome }: Acceptance | Failure): boolean {
  return outcome === 'accepted' || outcome === 'known'
}

/** @throws MatrixError M_FORBIDDEN */
function refuseUnlessAccepted(acceptance: Acceptance | Failure): void {
  if (!isAccepted(acceptance)) throw new MatrixError('M_FORBIDDEN', 'The room may not be joined')
}

/** From here on it is known that the room's members are not known, whatever becomes of this process. */
async function beginWithoutMembers(
  { ctx }: Federation,
  room: HotRoom,
  join: RoomEvent,
  server: ServerName,
  told: Json | undefined,
): Promise<void> {
  const listed = Array.isArray(told) ? told.slice(0, mostServersInRoom) : []
  const servers = listed.flatMap((name: Json) => (typeof name === 'string' ? (parseServerName(name) ?? []) : []))
  const others = [...new Set([server, ...servers])].filter((name) => !ctx.domains.isLocal(name))
  const [begun] = await ctx.database.read(beginPartialRoom, [room.room, join.eventId, server, others])
  ctx.hotRooms.drop(room)
  ctx.invalidations.publish('room', room.roomId)
  if (!begun) throw new MatrixError('M_LIMIT_EXCEEDED', 'Somebody else has just joined the room', { status: 503 })
}

/** The join with the signature of the server that vouches for it; it must be the same event. */
async function signedJoin(
  federation: Federation,
  answered: Json | undefined,
  join: RoomEvent,
  roomId: RoomId,
  rules: RoomRules,
): Promise<RoomEvent> {
  if (join.pdu.content.join_authorised_via_users_server === undefined) return join
  const checked = await checkPdu(federation, answered, roomId, rules)
  if (checked.error !== undefined || checked.event.eventId !== join.eventId) {
    throw new MatrixError('M_FORBIDDEN', 'The join is not signed by who vouches for it')
  }
  return { ...join, pdu: { ...join.pdu, signatures: checked.event.pdu.signatures } }
}

/** With the signature that the server which took the join in got for it from the room's policy server, if that is one. */
function asRecommended(
  join: RoomEvent,
  answered: Json | undefined,
  state: readonly RoomEvent[],
  rules: RoomRules,
): RoomEvent {
  const content = state.find(({ pdu }) => isPolicyItself(pdu))?.pdu.content
  const policy = content && policyServerIn(content)
  if (!policy) return join
  const signature = objectOf(objectOf(objectOf(answered).signatures)[policy.server])[POLICY_SERVER_KEY_ID]
  if (typeof signature !== 'string') return join
  const signed = withPolicySignature(join, policy.server, signature)
  return isRecommended(signed, policy, rules) ? signed : join
}

function refuseWithoutCreate(events: readonly RoomEvent[], rules: RoomRules): void {
  const create = events.find(({ pdu }) => pdu.type === 'm.room.create' && pdu.state_key === '')
  const version = create && (create.pdu.content.room_version ?? '1')
  if (version !== rules.version) throw new MatrixError('M_FORBIDDEN', 'The room has no create event of its version')
}
