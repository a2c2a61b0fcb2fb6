import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { spaceHierarchy } from '../../rooms/space-hierarchy.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v1/rooms/{roomId}/hierarchy` (v1.19). */
export const getSpaceHierarchy = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/rooms/{roomId}/hierarchy',
  auth: 'userOrGuest',
  rateLimit: { kind: 'elsewhere', by: 'user' },
  params: { roomId: parseRoomId },
  query: Type.Object({
    suggested_only: Type.Optional(Type.Boolean()),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    max_depth: Type.Optional(Type.Integer({ minimum: 0 })),
    from: Type.Optional(Type.String()),
  }),
  handle: (ctx, { params, query, requester }) =>
    spaceHierarchy(ctx, params.roomId, requester.userId, {
      suggestedOnly: query.suggested_only === true,
      maxDepth: query.max_depth,
      limit: query.limit,
      from: query.from,
    }),
})
