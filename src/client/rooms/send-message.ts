import { Type } from '@sinclair/typebox'
import { scheduleEvent } from '../../delayed-events/schedule-event.ts'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type EventId, parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { checkRelation } from '../../rooms/check-relation.ts'
import { sendEvent } from '../../rooms/send-event.ts'
import { delayQuery, parseTransactionId, parseType, stickinessOf, stickyQuery, timestampOf } from './schemas.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}` (v1.19). */
export const sendMessage = endpoint({
  method: 'put',
  path: [
    '/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}',
    '/_matrix/client/r0/rooms/{roomId}/send/{eventType}/{txnId}',
  ],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventType: parseType, txnId: parseTransactionId },
  rateLimit: { kind: 'message', by: 'user' },
  body: anyObject,
  // A delayed event that is asked for again may come without one.
  mayLackBody: true,
  query: Type.Object({ ts: Type.Optional(Type.Integer({ minimum: 0 })), ...delayQuery, ...stickyQuery }),
  async handle(ctx, { params, query, body, requester, request }) {
    const { roomId, eventType, txnId } = params
    const isBodiless = !('transfer-encoding' in request.headers) && !(Number(request.headers['content-length']) > 0)
    const delay = query['org.matrix.msc4140.delay']
    if (delay !== undefined && ctx.config.experimental.msc4140) {
      return scheduleEvent(ctx, requester, {
        roomId,
        type: eventType,
        content: isBodiless ? undefined : body,
        request: `send ${roomId} ${eventType} ${txnId}`,
        ...timestampOf(requester, query),
        ...stickinessOf(ctx, query),
        delay,
      })
    }
    if (isBodiless) throw new MatrixError('M_NOT_JSON', 'The body is missing')
    const relation = checkRelation(ctx, roomId, body, requester)
    if (relation) await relation
    const redacts = eventType === 'm.room.redaction' ? redactedBy(body.redacts) : undefined
    const eventId = await sendEvent(
      ctx,
      roomId,
      {
        type: eventType,
        sender: requester.userId,
        content: body,
        ...(redacts && { redacts }),
        ...timestampOf(requester, query),
        ...stickinessOf(ctx, query),
      },
      {
        userNid: requester.userNid,
        deviceId: requester.deviceId ?? '',
        scope: `send ${roomId} ${eventType}`,
        txnId,
      },
    )
    ctx.presence?.active(requester)
    return { event_id: eventId }
  },
})

/** A redaction sent as an event names its target in the content, whatever the room version. */
function redactedBy(redacts: unknown): EventId {
  const eventId = typeof redacts === 'string' ? parseEventId(redacts) : undefined
  if (!eventId) throw new MatrixError('M_BAD_JSON', 'redacts: expected an event id')
  return eventId
}
