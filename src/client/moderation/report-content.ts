import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseEventId, parseRoomId, parseUserId } from '../../matrix/ids.ts'
import * as reports from '../../rooms/report-content.ts'

const reason = Type.String({ maxLength: 4096, pattern: '^[^\\u0000]*$' })
const rateLimit = { kind: 'reports', by: 'user' } as const

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/report` (v1.19). */
export const reportRoom = endpoint({
  method: 'post',
  path: '/_matrix/client/v3/rooms/{roomId}/report',
  auth: 'user',
  rateLimit,
  params: { roomId: parseRoomId },
  body: Type.Object({ reason }),
  async handle(ctx, { params, body, requester }) {
    await reports.reportRoom(ctx, requester, params.roomId, body.reason)
    return {}
  },
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}` (v1.19). */
export const reportEvent = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/report/{eventId}', '/_matrix/client/r0/rooms/{roomId}/report/{eventId}'],
  auth: 'user',
  rateLimit,
  params: { roomId: parseRoomId, eventId: parseEventId },
  body: Type.Object({ reason: Type.Optional(reason) }),
  async handle(ctx, { params, body, requester }) {
    await reports.reportEvent(ctx, requester, params.roomId, params.eventId, body.reason)
    return {}
  },
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/users/{userId}/report` (v1.19). */
export const reportUser = endpoint({
  method: 'post',
  path: '/_matrix/client/v3/users/{userId}/report',
  auth: 'user',
  rateLimit,
  params: { userId: parseUserId },
  body: Type.Object({ reason }),
  async handle(ctx, { params, body, requester }) {
    await reports.reportUser(ctx, requester, params.userId, body.reason)
    return {}
  },
})
