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
import { offeredRoomVersions, offeredRules, type RoomRules, roomRules } from '../../src/matrix/room-versions.ts'
import type { Federation } from '../federation.ts'

/** A membership that one of our users wants to have in a room elsewhere. */
export type WantedMembership = {
  readonly membership: 'join' | 'knock' | 'leave'
  readonly roomId: RoomId
  readonly userId: UserId
  /** What the content has beside `membership`. */
  readonly content: JsonObject
}

/**
 * Asks a server where a membership event would stand in the graph, and builds the event: of what the server proposes only
 * that, and who vouches for a join, is used.
 *
 * Spec: Server-Server API, `GET /make_join`, `/make_knock`, `/make_leave` (v1.19).
 *
 * @throws RemoteRefusal; MatrixError M_INCOMPATIBLE_ROOM_VERSION, M_BAD_JSON, M_CONNECTION_FAILED.
 */
export async function makeMembership(
  { ctx, client }: Federation,
  server: ServerName,
  wanted: WantedMembership,
): Promise<{ event: RoomEvent; rules: RoomRules }> {
  const { membership, roomId, userId } = wanted
  const versions = [...offeredRoomVersions(ctx.config.experimental).keys()].map((version) => `ver=${version}`).join('&')
  const place = `${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}`
  const query = membership === 'leave' ? '' : `?${versions}`
  const uri = `/_matrix/federation/v1/make_${membership}/${place}${query}`
  const made = await client.send(server, { method: 'GET', uri, origin: serverNameOf(userId) })
  // Servers that do not say are older than room versions.
  const version = made.room_version ?? '1'
  const rules =
    typeof version !== 'string'
      ? undefined
      : membership === 'leave'
        ? roomRules(version)
        : offeredRules(version, ctx.config.experimental)
  if (!rules) {
    throw new MatrixError('M_INCOMPATIBLE_ROOM_VERSION', 'The version of this room is not supported', {
      ...(typeof version === 'string' && { extra: { room_version: version } }),
    })
  }
  return { event: build(ctx, objectOf(made.event), wanted, rules), rules }
}

function build(
  ctx: Federation['ctx'],
  proposed: JsonObject,
  { membership, roomId, userId, content }: WantedMembership,
  rules: RoomRules,
): RoomEvent {
  const prev = edgesIn(proposed.prev_events, MAX_PREV_EVENTS)
  const auth = edgesIn(proposed.auth_events, MAX_AUTH_EVENTS)
  const depth = typeof proposed.depth === 'number' && Number.isSafeInteger(proposed.depth) ? proposed.depth : 1
  const via = objectOf(proposed.content).join_authorised_via_users_server
  const isVouchedFor = membership === 'join' && rules.auth.restrictedJoin && typeof via === 'string'
  const server = serverNameOf(userId)
  return buildEvent(
    {
      type: 'm.room.member',
      sender: userId,
      stateKey: userId,
      roomId,
      content: { ...content, membership, ...(isVouchedFor && { join_authorised_via_users_server: via }) },
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

export function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}
