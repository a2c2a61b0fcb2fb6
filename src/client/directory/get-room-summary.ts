import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type RoomAlias, type RoomId, type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { remoteMembershipOf } from '../../rooms/remote-memberships.ts'
import { resolveRoom } from '../../rooms/resolve-room.ts'
import { maySummarise, membershipIn, roomSummary } from '../../rooms/room-summary.ts'
import { askAbout, roomHere } from '../../rooms/rooms-elsewhere.ts'
import { serversIn } from '../membership/via.ts'
import { parseRoomIdOrAlias } from '../rooms/schemas.ts'

/**
 * Other servers are asked only for who is logged in.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}` (v1.19).
 */
export const getRoomSummary = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v1/room_summary/{roomIdOrAlias}',
    '/_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}',
    '/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary',
  ],
  auth: 'optional',
  rateLimit: { kind: 'elsewhere', by: 'user' },
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  query: Type.Object({ via: Type.Optional(Type.Array(Type.String())) }),
  async handle(ctx, { params, query, requester, domain }) {
    const { roomIdOrAlias } = params
    const server = roomIdOrAlias.startsWith('#') ? serverNameOf(roomIdOrAlias as RoomAlias) : undefined
    if (!requester && server !== undefined && !ctx.domains.isLocal(server)) refuse()
    const { roomId, servers } = await resolveRoom(ctx, roomIdOrAlias, domain)
    const room = await roomHere(ctx, roomId)
    if (!room) return requester ? elsewhere(ctx, roomId, requester.userId, [...serversIn(query), ...servers]) : refuse()
    if (!(await maySummarise(ctx, room, requester?.userId))) refuse()
    const membership = requester && (await membershipIn(ctx, room, requester.userId))
    return withMembership(roomSummary(room), membership)
  },
})

async function elsewhere(
  ctx: Context,
  roomId: RoomId,
  userId: UserId,
  via: readonly ServerName[],
): Promise<JsonObject> {
  const told = await askAbout(ctx, roomId, userId, via, false)
  if (!told) refuse()
  return withMembership(told.room, (await remoteMembershipOf(ctx, roomId, userId))?.membership)
}

function withMembership(summary: JsonObject, membership: string | undefined): JsonObject {
  return membership === undefined ? summary : { ...summary, membership }
}

/** What is not there and what is hidden are one and the same answer. */
function refuse(): never {
  throw new MatrixError('M_NOT_FOUND', 'Room not found')
}
