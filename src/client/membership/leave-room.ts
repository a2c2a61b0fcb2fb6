import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { leaveRoom as leave } from '../../rooms/leave-room.ts'
import { refuseRejection } from '../../server-notices/refuse-rejection.ts'
import { reason } from '../rooms/schemas.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/leave` (v1.19). */
export const leaveRoom = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/leave', '/_matrix/client/r0/rooms/{roomId}/leave'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  body: Type.Object({ reason }),
  async handle(ctx, { params, body, requester }) {
    await refuseRejection(ctx, params.roomId, requester)
    await leave(ctx, params.roomId, requester.userId, body.reason)
    return {}
  },
})
