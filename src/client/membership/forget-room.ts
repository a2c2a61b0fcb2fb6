import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { forgetRoom as forget } from '../../rooms/forget-room.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/forget` (v1.19). */
export const forgetRoom = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/forget', '/_matrix/client/r0/rooms/{roomId}/forget'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  async handle(ctx, { params, requester }) {
    await forget(ctx, params.roomId, requester)
    return {}
  },
})
