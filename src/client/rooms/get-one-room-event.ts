import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseEventId, parseRoomId } from '../../matrix/ids.ts'
import { describeEvents } from '../../rooms/describe-events.ts'
import { visibleEvent } from '../../rooms/room-access.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}` (v1.19). */
export const getOneRoomEvent = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/event/{eventId}', '/_matrix/client/r0/rooms/{roomId}/event/{eventId}'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventId: parseEventId },
  async handle(ctx, { params, requester }) {
    const { view, stored } = await visibleEvent(ctx, params.roomId, params.eventId, requester.userId).catch(notFound)
    const views = new Map([[view.room.room, view.history]])
    return rawJson(await describeEvents(ctx, requester, [stored], { views, roomIds: true }))
  },
})

/** "The event was not found or you do not have permission to read this event" are one answer. */
function notFound(error: unknown): never {
  if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') {
    throw new MatrixError('M_NOT_FOUND', 'Event not found')
  }
  throw error
}
