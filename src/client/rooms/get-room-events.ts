import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { paginate } from '../../rooms/paginate.ts'
import { roomEventFilterOf } from '../../sync/filters.ts'
import { parseTimelineToken } from '../../sync/token.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/messages` (v1.19). */
export const getRoomEvents = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/messages', '/_matrix/client/r0/rooms/{roomId}/messages'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  query: Type.Object({
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    // Required by the specification; clients that leave it out go forwards.
    dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    filter: Type.Optional(Type.String()),
  }),
  async handle(ctx, { params, query, requester }) {
    const page = await paginate(ctx, params.roomId, requester, {
      from: query.from === undefined ? undefined : parseTimelineToken(query.from),
      to: query.to === undefined ? undefined : parseTimelineToken(query.to),
      backwards: query.dir === 'b',
      limit: query.limit ?? 10,
      filter: roomEventFilterOf(query.filter, { relations: ctx.config.experimental.msc3874 }),
    })
    const end = page.end === undefined ? '' : `,"end":"${page.end}"`
    return rawJson([
      `{"start":"${page.start}"${end},"chunk":[${page.events.join(',')}],"state":[${page.state.join(',')}]}`,
    ])
  },
})
