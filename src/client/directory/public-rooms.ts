import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { ServerName } from '../../matrix/ids.ts'
import { type PublicRoomsQuery, publicRooms } from '../../rooms/public-rooms.ts'

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
    return publicRooms(ctx, directoryOf(ctx, query.server, domain), query)
  },
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/publicRooms` (v1.19). */
export const queryPublicRooms = endpoint({
  method: 'post',
  path,
  auth: 'userOrGuest',
  whileSuspended: true,
  query: Type.Object({ server: Type.Optional(Type.String()) }),
  body: Type.Object({
    limit: Type.Optional(Type.Integer()),
    since: Type.Optional(Type.String()),
    filter: Type.Optional(
      Type.Object({
        generic_search_term: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        room_types: Type.Optional(Type.Union([Type.Array(Type.Union([Type.String(), Type.Null()])), Type.Null()])),
      }),
    ),
    include_all_networks: Type.Optional(Type.Boolean()),
    third_party_instance_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  }),
  handle(ctx, { query, body, domain }) {
    return publicRooms(ctx, directoryOf(ctx, query.server, domain), {
      limit: body.limit,
      since: body.since,
      searchTerm: body.filter?.generic_search_term ?? undefined,
      roomTypes: body.filter?.room_types ?? undefined,
      networks: networksIn(body),
    })
  },
})

/** Rooms of a bridged network are those that its application service lists. */
function networksIn(body: {
  include_all_networks?: boolean
  third_party_instance_id?: string | null
}): PublicRoomsQuery['networks'] {
  const { third_party_instance_id: instanceId, include_all_networks: all } = body
  if (all === true) return 'all'
  return typeof instanceId === 'string' && instanceId !== '' ? { instanceId } : undefined
}

/** @throws MatrixError M_NOT_FOUND for another server: none can be asked. */
function directoryOf(ctx: Pick<Context, 'domains'>, server: string | undefined, own: ServerName): ServerName {
  if (server === undefined || server === '') return own
  if (!ctx.domains.isLocal(server))
    throw new MatrixError('M_NOT_FOUND', 'The directory of that server is not available')
  return server
}
