import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { eventContext } from '../../rooms/event-context.ts'
import { roomEventFilterOf } from '../../sync/filters.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}` (v1.19). */
export const getEventContext = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/context/{eventId}', '/_matrix/client/r0/rooms/{roomId}/context/{eventId}'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventId: parseEventId },
  query: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 0 })), filter: Type.Optional(Type.String()) }),
  async handle(ctx, { params, query, requester }) {
    const context = await eventContext(ctx, params.roomId, params.eventId, requester, {
      limit: query.limit ?? 10,
      filter: roomEventFilterOf(query.filter, { relations: ctx.config.experimental.msc3874 }),
    })
    return rawJson([
      `{"start":"${context.start}","end":"${context.end}","event":${context.event},` +
        `"events_before":[${context.before.join(',')}],"events_after":[${context.after.join(',')}],` +
        `"state":[${context.state.join(',')}]}`,
    ])
  },
})
