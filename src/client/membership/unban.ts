import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId, type UserId } from '../../matrix/ids.ts'
import { removeMember } from '../../rooms/membership.ts'
import { reason, userIdText } from '../rooms/schemas.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/unban` (v1.19). */
export const unban = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/unban', '/_matrix/client/r0/rooms/{roomId}/unban'],
  auth: 'user',
  params: { roomId: parseRoomId },
  body: Type.Object({ user_id: userIdText, reason }),
  async handle(ctx, { params, body, requester }) {
    await removeMember(ctx, params.roomId, {
      sender: requester.userId,
      target: body.user_id as UserId,
      from: ['ban'],
      ...(body.reason !== undefined && { reason: body.reason }),
    })
    return {}
  },
})
