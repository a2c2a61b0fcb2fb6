import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { threadRoots } from '../../rooms/relating-events.ts'
import { formatTimelineToken, parseTimelineToken } from '../../sync/token.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v1/rooms/{roomId}/threads` (v1.19). */
export const getThreadRoots = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/rooms/{roomId}/threads',
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  query: Type.Object({
    include: Type.Optional(Type.Union([Type.Literal('all'), Type.Literal('participated')])),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    from: Type.Optional(Type.String()),
  }),
  async handle(ctx, { params, query, requester }) {
    const { events, next } = await threadRoots(ctx, params.roomId, requester, {
      participated: query.include === 'participated',
      limit: query.limit ?? 10,
      from: query.from === undefined ? undefined : parseTimelineToken(query.from),
    })
    const nextBatch = next === undefined ? '' : `,"next_batch":"${formatTimelineToken(next)}"`
    return rawJson([`{"chunk":[${events.join(',')}]${nextBatch}}`])
  },
})
