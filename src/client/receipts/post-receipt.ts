import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { setFullyRead, setReceipt } from '../../receipts/set-receipt.ts'

const types = ['m.read', 'm.read.private', 'm.fully_read'] as const

function parseReceiptType(text: string): (typeof types)[number] | undefined {
  return types.find((type) => type === text)
}

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}` (v1.19). */
export const postReceipt = endpoint({
  method: 'post',
  path: [
    '/_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}',
    '/_matrix/client/r0/rooms/{roomId}/receipt/{receiptType}/{eventId}',
  ],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, receiptType: parseReceiptType, eventId: parseEventId },
  body: Type.Object({ thread_id: Type.Optional(Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' })) }),
  async handle(ctx, { params, body, requester }) {
    const { roomId, receiptType, eventId } = params
    if (body.thread_id === '') throw new MatrixError('M_INVALID_PARAM', 'thread_id: expected main or an event id')
    if (receiptType === 'm.fully_read') {
      if (body.thread_id !== undefined) throw new MatrixError('M_INVALID_PARAM', 'm.fully_read knows no threads')
      await setFullyRead(ctx, requester, roomId, eventId)
    } else {
      await setReceipt(ctx, requester, roomId, { type: receiptType, eventId, threadId: body.thread_id ?? '' })
    }
    ctx.presence?.active(requester)
    return {}
  },
})
