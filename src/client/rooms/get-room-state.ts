import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { readState } from '../../rooms/read-state.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/state` (v1.19). */
export const getRoomState = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/state', '/_matrix/client/r0/rooms/{roomId}/state'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  async handle(ctx, { params, requester }) {
    const events = await readState(ctx, params.roomId, requester)
    return rawJson([`[${events.join(',')}]`])
  },
})
