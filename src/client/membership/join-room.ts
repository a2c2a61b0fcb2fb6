import { Type } from '@sinclair/typebox'
import { resolveOrAsk } from '../../application-services/query-services.ts'
import { endpoint } from '../../http/endpoint.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { parseRoomIdOrAlias, reason } from '../rooms/schemas.ts'
import { serversIn } from './via.ts'
import { joinWithinLimits } from './within-limits.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/join/{roomIdOrAlias}` (v1.19). */
export const joinRoom = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/join/{roomIdOrAlias}', '/_matrix/client/r0/join/{roomIdOrAlias}'],
  auth: 'userOrGuest',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  rateLimit: { kind: 'join_local', by: 'user' },
  query: Type.Object({
    via: Type.Optional(Type.Array(Type.String())),
    server_name: Type.Optional(Type.Array(Type.String())),
  }),
  body: Type.Object({ reason }),
  async handle(ctx, { params, query, body, requester }) {
    const { roomId, servers } = await resolveOrAsk(ctx, params.roomIdOrAlias, requester.domain)
    const via = [...serversIn(query), ...servers]
    return { room_id: await joinWithinLimits(ctx, requester, roomId, body as JsonObject, via) }
  },
})
