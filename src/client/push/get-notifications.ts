import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { notificationsOf } from '../../push/notifications.ts'
import { formatTimelineToken, parseTimelineToken } from '../../sync/token.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/notifications` (v1.19). */
export const getNotifications = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/notifications', '/_matrix/client/r0/notifications'],
  auth: 'user',
  query: Type.Object({
    from: Type.Optional(Type.String()),
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    only: Type.Optional(Type.String()),
  }),
  async handle(ctx, { query, requester }) {
    const { notifications, next } = await notificationsOf(ctx, requester, {
      from: query.from === undefined ? undefined : parseTimelineToken(query.from),
      limit: query.limit ?? 50,
      onlyHighlights: query.only === 'highlight',
    })
    const token = next === undefined ? '' : `,"next_token":"${formatTimelineToken(next)}"`
    return rawJson([`{"notifications":[${notifications.join(',')}]${token}}`])
  },
})
