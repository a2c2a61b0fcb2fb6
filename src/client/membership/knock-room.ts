import { Type } from '@sinclair/typebox'
import { resolveOrAsk } from '../../application-services/query-services.ts'
import { endpoint } from '../../http/endpoint.ts'
import { knockRoom as knock } from '../../rooms/knock-room.ts'
import { parseRoomIdOrAlias, reason } from '../rooms/schemas.ts'
import { serversIn } from './via.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/knock/{roomIdOrAlias}` (v1.19). */
export const knockRoom = endpoint({
  method: 'post',
  path: '/_matrix/client/v3/knock/{roomIdOrAlias}',
  auth: 'user',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  rateLimit: { kind: 'join_local', by: 'user' },
  query: Type.Object({
    via: Type.Optional(Type.Array(Type.String())),
    server_name: Type.Optional(Type.Array(Type.String())),
  }),
  body: Type.Object({ reason }),
  async handle(ctx, { params, query, body, requester }) {
    const { roomId, servers } = await resolveOrAsk(ctx, params.roomIdOrAlias, requester.domain)
    await knock(ctx, roomId, requester.userId, body.reason, [...serversIn(query), ...servers])
    return { room_id: roomId }
  },
})
