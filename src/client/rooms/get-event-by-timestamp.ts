import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { eventByTimestamp } from '../../rooms/event-by-timestamp.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event` (v1.19). */
export const getEventByTimestamp = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/rooms/{roomId}/timestamp_to_event',
  auth: 'userOrGuest',
  rateLimit: { kind: 'elsewhere', by: 'user' },
  params: { roomId: parseRoomId },
  query: Type.Object({ ts: Type.Integer({ minimum: 0 }), dir: Type.Union([Type.Literal('f'), Type.Literal('b')]) }),
  handle: (ctx, { params, query, requester }) => eventByTimestamp(ctx, params.roomId, requester, query.ts, query.dir),
})
