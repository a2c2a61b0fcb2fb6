import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { readEvent } from '../../rooms/read-event.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}` (v1.19). */
export const getOneRoomEvent = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/event/{eventId}', '/_matrix/client/r0/rooms/{roomId}/event/{eventId}'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventId: parseEventId },
  async handle(ctx, { params, requester }) {
    return rawJson([await readEvent(ctx, requester, params.roomId, params.eventId)])
  },
})
