import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseServerName, type ServerName } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { type PublicRoomsQuery, publicRooms, publicRoomsBody, queryIn } from '../../rooms/public-rooms.ts'

const path = ['/_matrix/client/v3/publicRooms', '/_matrix/client/r0/publicRooms'] as const

/** Spec: Client-Server API, `GET /_matrix/client/v3/publicRooms` (v1.19). */
export const getPublicRooms = endpoint({
  method: 'get',
  path,
  auth: 'optional',
  query: Type.Object({
    limit: Type.Optional(Type.Integer()),
    since: Type.Optional(Type.String()),
    server: Type.Optional(Type.String()),
  }),
  handle(ctx, { query, requester, domain }) {
    if (!requester && ctx.config.rooms.directory_requires_login) {
      throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    }
    return roomsOf(ctx, query.server, domain, { limit: query.limit, since: query.since })
  },
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/publicRooms` (v1.19). */
export const queryPublicRooms = endpoint({
  method: 'post',
  path,
  auth: 'userOrGuest',
  whileSuspended: true,
  query: Type.Object({ server: Type.Optional(Type.String()) }),
  body: publicRoomsBody,
  handle(ctx, { query, body, domain }) {
    return roomsOf(ctx, query.server, domain, queryIn(body))
  },
})

/**
 * The directory of a domain of ours, or of another server.
 *
 * @throws MatrixError M_INVALID_PARAM for what is no server name; what the other server refuses.
 */
async function roomsOf(
  ctx: Context,
  server: string | undefined,
  own: ServerName,
  query: PublicRoomsQuery,
): Promise<JsonObject> {
  if (server === undefined || server === '') return publicRooms(ctx, own, query)
  const name = parseServerName(server)
  if (name === undefined) throw new MatrixError('M_INVALID_PARAM', 'server: expected a server name')
  if (ctx.domains.isLocal(name)) return publicRooms(ctx, name, query)
  if (!ctx.remoteServers.current.isOn) {
    throw new MatrixError('M_NOT_FOUND', 'The directory of that server is not available')
  }
  return ctx.remoteServers.current.publicRooms(name, own, query)
}
