import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { redactEvent as redact } from '../../rooms/redact-event.ts'
import { parseTransactionId, reason } from './schemas.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}` (v1.19). */
export const redactEvent = endpoint({
  method: 'put',
  path: [
    '/_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}',
    '/_matrix/client/r0/rooms/{roomId}/redact/{eventId}/{txnId}',
  ],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventId: parseEventId, txnId: parseTransactionId },
  rateLimit: { kind: 'message', by: 'user' },
  body: Type.Object({ reason }),
  async handle(ctx, { params, body, requester }) {
    const { roomId, eventId, txnId } = params
    const redaction = {
      sender: requester.userId,
      redacts: eventId,
      ...(body.reason !== undefined && { reason: body.reason }),
    }
    const transaction = {
      userNid: requester.userNid,
      deviceId: requester.deviceId ?? '',
      scope: `redact ${roomId} ${eventId}`,
      txnId,
    }
    return { event_id: await redact(ctx, roomId, redaction, transaction) }
  },
})
