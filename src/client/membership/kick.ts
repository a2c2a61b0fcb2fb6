import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId, type UserId } from '../../matrix/ids.ts'
import { removeMember } from '../../rooms/membership.ts'
import { reason, userIdText } from '../rooms/schemas.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/kick` (v1.19). */
export const kick = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/kick', '/_matrix/client/r0/rooms/{roomId}/kick'],
  auth: 'user',
  params: { roomId: parseRoomId },
  body: Type.Object({ user_id: userIdText, reason }),
  async handle(ctx, { params, body, requester }) {
    await removeMember(ctx, params.roomId, {
      sender: requester.userId,
      target: body.user_id as UserId,
      from: ['join', 'invite', 'knock'],
      ...(body.reason !== undefined && { reason: body.reason }),
    })
    return {}
  },
})
