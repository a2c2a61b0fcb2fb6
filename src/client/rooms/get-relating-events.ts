import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { recursionDepth, relatingEvents } from '../../rooms/relating-events.ts'
import { formatTimelineToken, parseTimelineToken } from '../../sync/token.ts'

const flag = Type.Union([Type.Literal('true'), Type.Literal('false')])

/**
 * Spec: Client-Server API, `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`, and with a relation type and an
 * event type (v1.19).
 */
export const getRelatingEvents = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v1/rooms/{roomId}/relations/{eventId}',
    '/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}',
    '/_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}',
    '/_matrix/client/unstable/rooms/{roomId}/relations/{eventId}',
    '/_matrix/client/unstable/rooms/{roomId}/relations/{eventId}/{relType}',
    '/_matrix/client/unstable/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}',
  ],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventId: parseEventId },
  query: Type.Object({
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
    recurse: Type.Optional(flag),
  }),
  async handle(ctx, { params, query, requester }) {
    const recurse = query.recurse === 'true'
    const { events, next } = await relatingEvents(ctx, params.roomId, params.eventId, requester, {
      relType: params.relType || undefined,
      eventType: params.eventType || undefined,
      backwards: query.dir !== 'f',
      recurse,
      limit: query.limit ?? 5,
      from: query.from === undefined ? undefined : parseTimelineToken(query.from),
      to: query.to === undefined ? undefined : parseTimelineToken(query.to),
    })
    const nextBatch = next === undefined ? '' : `,"next_batch":"${formatTimelineToken(next)}"`
    const depth = recurse ? `,"recursion_depth":${recursionDepth}` : ''
    return rawJson([`{"chunk":[${events.join(',')}]${nextBatch}${depth}}`])
  },
})
