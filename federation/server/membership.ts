import { Type } from '@sinclair/typebox'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { authTypesFor, checkAuth } from '../../src/matrix/auth-rules/index.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import type { Pdu, RoomEvent } from '../../src/matrix/event.ts'
import { parseEvent } from '../../src/matrix/event-format.ts'
import { referenceHash } from '../../src/matrix/hashes.ts'
import {
  parseRoomId,
  parseUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { signEvent } from '../../src/matrix/signatures.ts'
import { acceptEvents } from '../../src/rooms/accept-event.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { restrictedJoinAuthoriser } from '../../src/rooms/membership.ts'
import { localMember } from '../../src/rooms/remote-memberships.ts'
import { shownState } from '../../src/rooms/shown-state.ts'
import { stateAt, stateWithoutMembers } from '../../src/rooms/state-at.ts'
import { insertRelayed, serversOfRoom } from '../../src/storage/destinations.ts'
import { eventIdBytes } from '../../src/storage/event-codec.ts'
import type { StoredEvent } from '../../src/storage/events.ts'
import { heroNumbers } from '../../src/storage/room-state.ts'
import type { Federation } from '../federation.ts'
import { checkPdu } from '../receive/check-pdu.ts'
import { checkPolicy } from '../receive/policy-check.ts'
import { refuseByAcl } from '../server-acl.ts'
import { type FederationCall, federationEndpoint } from './federation-endpoint.ts'
import { answerWithEvents, pdusOf, stateWithChain } from './room-access.ts'

type Own = 'join' | 'leave' | 'knock'
const params = { roomId: parseRoomId, userId: parseUserId }

/**
 * What other servers ask for their own users: a template of a membership event, and to take it in signed.
 *
 * Spec: Server-Server API, "Joining Rooms", "Leaving Rooms", "Knocking upon a room" (v1.19).
 */
export function membershipOperations(federation: Federation): Endpoint[] {
  const make = (membership: Own): Endpoint =>
    federationEndpoint(federation, {
      method: 'get',
      path: `/_matrix/federation/v1/make_${membership}/{roomId}/{userId}`,
      params,
      query: Type.Object({ ver: Type.Optional(Type.Array(Type.String())) }),
      handle: (call) => makeTemplate(federation, membership, call),
    })
  const send = (membership: Own, version: 'v1' | 'v2', handle: (call: FederationCall) => Promise<unknown>): Endpoint =>
    federationEndpoint(federation, {
      method: 'put',
      path: `/_matrix/federation/${version}/send_${membership}/{roomId}/{eventId}`,
      params: { roomId: parseRoomId },
      query: Type.Object({ omit_members: Type.Optional(Type.Boolean()) }),
      handle,
    })
  return [
    make('join'),
    make('leave'),
    make('knock'),
    send('join', 'v2', (call) => takeJoin(federation, call)),
    send('join', 'v1', (call) => takeJoin(federation, call, { inPair: true })),
    send('leave', 'v2', async (call) => {
      await takeOwn(federation, 'leave', call)
      return {}
    }),
    send('leave', 'v1', async (call) => {
      await takeOwn(federation, 'leave', call)
      return [200, {}]
    }),
    send('knock', 'v1', async (call) => {
      const { room } = await takeOwn(federation, 'knock', call)
      return { knock_room_state: (await shownState(federation.ctx, room)).map(({ pdu }) => pdu) }
    }),
  ]
}

/** Who was invited or knocks can leave also where nobody of us is left to let anybody in. */
async function roomOf({ ctx }: Federation, roomId: string, origin: ServerName, membership: Own): Promise<HotRoom> {
  const room = await ctx.hotRooms.get(roomId as RoomId)
  const isKnown = room !== undefined && room.extremities.length > 0
  // Who does not know the members yet has no answer for others.
  const canAnswer =
    membership === 'leave' || (room && !room.partialState && (await localMember(ctx, room)) !== undefined)
  if (!isKnown || !canAnswer) {
    throw new MatrixError('M_NOT_FOUND', 'This server is not in such a room')
  }
  refuseByAcl(room, origin)
  return room
}

async function makeTemplate(
  federation: Federation,
  membership: Own,
  { origin, params: asked, query }: FederationCall,
): Promise<JsonObject> {
  const { ctx } = federation
  const userId = asked.userId as UserId
  if (serverNameOf(userId) !== origin) throw new MatrixError('M_FORBIDDEN', 'This is not a user of your server')
  const room = await roomOf(federation, asked.roomId!, origin, membership)
  const versions = (query.ver as string[] | undefined) ?? ['1']
  if (membership !== 'leave' && !versions.includes(room.rules.version)) {
    throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', 'Your server does not support the version of this room', {
      extra: { room_version: room.rules.version },
    })
  }
  const via = membership === 'join' ? await restrictedJoinAuthoriser(ctx, room, userId) : undefined
  const content: JsonObject = { membership, ...(via !== undefined && { join_authorised_via_users_server: via }) }
  const types = authTypesFor({ type: 'm.room.member', sender: userId, stateKey: userId, content }, room.rules)
  await ctx.hotRooms.load(room, types)
  const auth = types.flatMap(([type, stateKey]) => room.get(type, stateKey) ?? [])
  const prev = room.extremities.slice(0, 20).map(({ event }) => event)
  const edges = (events: readonly RoomEvent[]) =>
    room.rules.eventFormat === 'v1'
      ? events.map(({ eventId, pdu }) => [eventId, { sha256: referenceHash(pdu, room.rules) }])
      : events.map(({ eventId }) => eventId)
  const template = {
    type: 'm.room.member',
    sender: userId,
    state_key: userId,
    room_id: room.roomId,
    content,
    origin_server_ts: ctx.clock.now(),
    depth: room.depth + 1,
    prev_events: edges(prev),
    auth_events: edges(auth),
  }
  // The rules want to see the signature of who vouches for the join; it is given once the event is here.
  const signatures = via === undefined ? {} : { [serverNameOf(via)]: { 'ed25519:later': '' } }
  const pdu = { ...template, hashes: { sha256: '' }, signatures } as unknown as Pdu
  const draft: RoomEvent = {
    eventId: '$template',
    roomId: room.roomId,
    prevEvents: prev.map(({ eventId }) => eventId),
    authEvents: auth.map(({ eventId }) => eventId),
    pdu,
  }
  const verdict = checkAuth(draft, room, room.rules)
  if (!verdict.allowed) throw new MatrixError('M_FORBIDDEN', verdict.reason)
  return { room_version: room.rules.version, event: template as unknown as JsonObject }
}

/**
 * Takes in an event by which a user of the asking server changes their own membership. It is signed by us too where one
 * of our users vouches for it, after everything about it was checked.
 */
async function takeOwn(
  federation: Federation,
  membership: Own,
  { origin, destination, params: asked, body }: FederationCall,
): Promise<{ room: HotRoom; event: RoomEvent }> {
  const { ctx } = federation
  const room = await roomOf(federation, asked.roomId!, origin, membership)
  const parsed = parseEvent(body, room.rules)
  if ('error' in parsed) throw new MatrixError('M_BAD_JSON', parsed.error)
  const { pdu, eventId, roomId } = parsed.event
  const isOwn =
    pdu.type === 'm.room.member' &&
    pdu.content.membership === membership &&
    pdu.state_key === pdu.sender &&
    serverNameOf(pdu.sender) === origin &&
    roomId === room.roomId &&
    eventId === asked.eventId
  if (!isOwn) throw new MatrixError('M_INVALID_PARAM', `This is no ${membership} of one of your users in this room`)
  const checked = await checkPdu(
    federation,
    (await vouchedFor(federation, room, pdu)) as unknown as JsonObject,
    roomId,
    room.rules,
  )
  if (checked.error !== undefined) throw new MatrixError('M_FORBIDDEN', checked.error)
  const { events, unwanted } = await checkPolicy(federation, room, [checked.event])
  const objection = unwanted.get(eventId)
  if (objection) throw objection
  federation.relayed.set(eventId, destination)
  await ctx.database.read(insertRelayed, [eventIdBytes(eventId), destination])
  const [outcome] = await acceptEvents(ctx, roomId, events)
  if (outcome!.outcome === 'failed') throw outcome!.error
  if (outcome!.outcome !== 'accepted' && outcome!.outcome !== 'known') {
    const reason = outcome!.outcome === 'missing' ? 'The event names events that are not known' : outcome!.reason
    throw new MatrixError('M_FORBIDDEN', reason)
  }
  return { room, event: events[0]! }
}

/** With our signature where one of our users vouches for the join, and only if the join rules let this user in. */
async function vouchedFor({ ctx }: Federation, room: HotRoom, pdu: Pdu): Promise<Pdu> {
  const via = pdu.content.join_authorised_via_users_server
  const authoriser = typeof via === 'string' ? parseUserId(via) : undefined
  if (authoriser === undefined || !ctx.domains.isLocal(serverNameOf(authoriser))) return pdu
  if ((await restrictedJoinAuthoriser(ctx, room, pdu.sender)) === undefined) return pdu
  const domain = serverNameOf(authoriser)
  return signEvent(pdu, domain, ctx.domains.keyOf(domain), room.rules)
}

/** @param options.inPair As the oldest form of the operation has it: `[200, answer]`. */
async function takeJoin(federation: Federation, call: FederationCall, { inPair = false } = {}): Promise<unknown> {
  const { rateLimits } = federation.ctx
  const roomId = call.params.roomId!
  await rateLimits.check('join_room', roomId)
  const canDoWithout = !inPair && call.query.omit_members === true
  // Those before the join.
  const servers = canDoWithout ? await serversIn(federation, roomId as RoomId) : []
  const { room, event } = await takeOwn(federation, 'join', call)
  await rateLimits.charge('join_room', roomId, 1)
  const [stored] = await federation.ctx.events.byIds([event.eventId], { edges: true })
  const common = { origin: call.destination, event: event.pdu }
  if (canDoWithout && room.joinedMembers > federation.ctx.config.federation.members_told_at_once) {
    return { ...common, ...(await joinWithoutMembers(federation, room, stored!)), servers_in_room: servers }
  }
  const { state, authChain } = await stateWithChain(federation, room, stored!)
  const head = { ...common, members_omitted: false } as unknown as JsonObject
  return answerWithEvents(federation, head, { state, auth_chain: authChain }, { inPair })
}

async function serversIn({ ctx }: Federation, roomId: RoomId): Promise<string[]> {
  const room = await ctx.hotRooms.get(roomId)
  const rows = room ? await ctx.database.read(serversOfRoom, [room.room]) : []
  return rows.map(({ server }) => server)
}

/**
 * What a server needs to let its user into a room at once: the state but for its members, those of them whom clients name
 * a nameless room by, and what all of it is allowed by.
 */
async function joinWithoutMembers({ ctx }: Federation, room: HotRoom, join: StoredEvent): Promise<JsonObject> {
  const before = await stateAt(ctx, join, 'before')
  if (!before.known) throw new MatrixError('M_NOT_FOUND', 'The state of the room is not known')
  const shown = await ctx.events.byNids(await stateWithoutMembers(ctx, room, before.value), { edges: true })
  const isNamed = shown.some(({ event }) => naming.has(event.pdu.type))
  const heroes = isNamed ? [] : await ctx.database.read(heroNumbers, [room.room])
  const members = await ctx.events.byNids(
    heroes.map((row) => row.event_nid).filter((nid) => nid !== join.nid),
    { edges: true },
  )
  const state = [...shown, ...members]
  const told = new Set(state.map(({ nid }) => nid))
  const cited = await ctx.events.byIds([...new Set([join, ...state].flatMap(({ event }) => event.authEvents))])
  const chain = await ctx.hotRooms.authGraphs.chainWith(
    room,
    cited.map(({ nid }) => nid),
  )
  return {
    members_omitted: true,
    state: pdusOf(state),
    auth_chain: pdusOf(
      await ctx.events.byNids(
        chain.filter((nid) => !told.has(nid)),
        { edges: true },
      ),
    ),
  }
}

const naming: ReadonlySet<string> = new Set(['m.room.name', 'm.room.canonical_alias'])
