import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { buildEvent } from '../../src/matrix/event-format.ts'
import {
  type EventId,
  parseEventId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { MAX_AUTH_EVENTS, MAX_PREV_EVENTS } from '../../src/matrix/limits.ts'
import { type RoomRules, roomRules, supportedRoomVersions } from '../../src/matrix/room-versions.ts'
import { acceptEvent } from '../../src/rooms/accept-event.ts'
import { openRemoteRoom } from '../../src/rooms/remote-room.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import type { Federation } from '../federation.ts'
import { checkPdu, checkPdus } from '../receive/check-pdu.ts'
import { RemoteRefusal } from './client.ts'

const mostServers = 10
/** Room for a state of many thousand members. */
const mostStateBytes = 512 * 1024 * 1024

/**
 * Joins a room through a server that is in it: of what that server proposes only the place in the graph is used, and the
 * state it tells is believed as far as it is signed and follows the rules.
 *
 * Spec: Server-Server API, "Joining Rooms" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION; M_NOT_FOUND when none of the servers helps.
 */
export async function joinRemoteRoom(
  federation: Federation,
  roomId: RoomId,
  userId: UserId,
  via: readonly ServerName[],
  content: JsonObject,
): Promise<void> {
  const { ctx } = federation
  const servers = [...new Set(via)].filter((server) => !ctx.domains.isLocal(server)).slice(0, mostServers)
  let refusal: MatrixError | undefined
  for (const server of servers) {
    try {
      await joinThrough(federation, server, roomId, userId, content)
      return
    } catch (error) {
      refusal = refusalOf(error) ?? refusal
      ctx.log.info({ server, roomId, error: (error as Error).message }, 'A room could not be joined through a server')
    }
  }
  throw refusal ?? new MatrixError('M_NOT_FOUND', 'No server that is in this room is known')
}

/** Another server's words never reach our clients; of its errors only what they have to know. */
function refusalOf(error: unknown): MatrixError | undefined {
  if (error instanceof MatrixError) return error.errcode === 'M_INCOMPATIBLE_ROOM_VERSION' ? error : undefined
  if (!(error instanceof RemoteRefusal)) return undefined
  if (error.body.errcode === 'M_INCOMPATIBLE_ROOM_VERSION') {
    return new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', 'The version of this room is not supported')
  }
  return error.status === 403 ? new MatrixError('M_FORBIDDEN', 'The room may not be joined') : undefined
}

async function joinThrough(
  federation: Federation,
  server: ServerName,
  roomId: RoomId,
  userId: UserId,
  content: JsonObject,
): Promise<void> {
  const { ctx, client } = federation
  const origin = serverNameOf(userId)
  const ver = supportedRoomVersions.map((version) => `ver=${version}`).join('&')
  const place = `${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}`
  const uri = `/_matrix/federation/v1/make_join/${place}?${ver}`
  const made = await client.send(server, { method: 'GET', uri, origin })
  const rules = typeof made.room_version === 'string' ? roomRules(made.room_version) : undefined
  if (!rules) throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', 'The version of this room is not supported')
  const join = buildJoin(federation, made.event, { roomId, userId, content, rules })
  const answer = await client.send(server, {
    method: 'PUT',
    uri: `/_matrix/federation/v2/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(join.eventId)}`,
    body: join.pdu as unknown as JsonObject,
    origin,
    timeout: 120_000,
    maxBytes: mostStateBytes,
  })
  const [state, authChain, event] = await Promise.all([
    checkPdus(federation, answer.state, roomId, rules),
    checkPdus(federation, answer.auth_chain, roomId, rules),
    signedJoin(federation, answer.event, join, roomId, rules),
  ])
  refuseWithoutCreate([...state, ...authChain], rules)
  await openRemoteRoom(ctx, roomId, rules.version)
  const refused = await storeOutliers(ctx, roomId, [...authChain, ...state])
  const stateBefore = state.filter(({ pdu }) => pdu.state_key !== undefined).map(({ eventId }) => eventId)
  const outcome = await acceptEvent(ctx, event, { stateBefore: stateBefore.filter((eventId) => !refused.has(eventId)) })
  if (outcome.outcome !== 'accepted' && outcome.outcome !== 'known') {
    throw new MatrixError('M_FORBIDDEN', 'The room may not be joined')
  }
}

/** Ours: only where it stands in the graph, and who vouches for it, are the other server's to say. */
function buildJoin(
  { ctx }: Federation,
  template: Json | undefined,
  own: { roomId: RoomId; userId: UserId; content: JsonObject; rules: RoomRules },
): RoomEvent {
  const { roomId, userId, rules } = own
  const proposed = objectOf(template)
  const prev = edgesIn(proposed.prev_events, MAX_PREV_EVENTS)
  const auth = edgesIn(proposed.auth_events, MAX_AUTH_EVENTS)
  const depth = typeof proposed.depth === 'number' && Number.isSafeInteger(proposed.depth) ? proposed.depth : 1
  const via = objectOf(proposed.content).join_authorised_via_users_server
  const vouched = rules.auth.restrictedJoin && typeof via === 'string'
  const server = serverNameOf(userId)
  return buildEvent(
    {
      type: 'm.room.member',
      sender: userId,
      stateKey: userId,
      roomId,
      content: {
        ...own.content,
        membership: 'join',
        ...(vouched && { join_authorised_via_users_server: via }),
      },
      originServerTs: ctx.clock.now(),
      depth: Math.max(depth, 1),
      prevEvents: [...prev.keys()],
      authEvents: [...auth.keys()],
      ...(rules.eventFormat === 'v1' && {
        eventIdLocalpart: ctx.random.token(18),
        hashesOf: new Map([...prev, ...auth]),
      }),
    },
    rules,
    server,
    ctx.domains.keyOf(server),
  )
}

function edgesIn(list: Json | undefined, most: number): Map<EventId, string> {
  if (!Array.isArray(list) || list.length > most) throw new MatrixError('M_BAD_JSON', 'Not a usable template')
  return new Map(
    list.map((edge: Json) => {
      const [id, hashes] = Array.isArray(edge) ? (edge as readonly Json[]) : [edge]
      const eventId = typeof id === 'string' ? parseEventId(id) : undefined
      if (eventId === undefined) throw new MatrixError('M_BAD_JSON', 'Not a usable template')
      const { sha256 } = objectOf(hashes)
      return [eventId, typeof sha256 === 'string' ? sha256 : '']
    }),
  )
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

function refuseWithoutCreate(events: readonly RoomEvent[], rules: RoomRules): void {
  const create = events.find(({ pdu }) => pdu.type === 'm.room.create' && pdu.state_key === '')
  const version = create && (create.pdu.content.room_version ?? '1')
  if (version !== rules.version) throw new MatrixError('M_FORBIDDEN', 'The room has no create event of its version')
}

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}
