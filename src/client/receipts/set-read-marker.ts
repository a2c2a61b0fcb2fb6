import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type EventId, parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { setFullyRead, setReceipt } from '../../receipts/set-receipt.ts'

const eventId = Type.Optional(Type.String())

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/read_markers` (v1.19). */
export const setReadMarker = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/read_markers', '/_matrix/client/r0/rooms/{roomId}/read_markers'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  body: Type.Object({ 'm.fully_read': eventId, 'm.read': eventId, 'm.read.private': eventId }),
  async handle(ctx, { params, body, requester }) {
    const fullyRead = checked(body['m.fully_read'])
    if (fullyRead) await setFullyRead(ctx, requester, params.roomId, fullyRead)
    for (const type of ['m.read', 'm.read.private'] as const) {
      const read = checked(body[type])
      if (read) await setReceipt(ctx, requester, params.roomId, { type, eventId: read, threadId: '' })
    }
    return {}
  },
})

function checked(text: string | undefined): EventId | undefined {
  if (text === undefined) return undefined
  const parsed = parseEventId(text)
  if (!parsed) throw new MatrixError('M_INVALID_PARAM', `${text} is not an event id`)
  return parsed
}
