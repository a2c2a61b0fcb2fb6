import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { upgradeRoom as upgrade } from '../../rooms/upgrade-room.ts'
import { userIdText } from './schemas.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/upgrade` (v1.19). */
export const upgradeRoom = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/upgrade', '/_matrix/client/r0/rooms/{roomId}/upgrade'],
  auth: 'user',
  params: { roomId: parseRoomId },
  rateLimit: { kind: 'room_creation', by: 'user' },
  body: Type.Object({ new_version: Type.String(), additional_creators: Type.Optional(Type.Array(userIdText)) }),
  async handle(ctx, { params, body, requester }) {
    const replacement = await upgrade(ctx, requester, params.roomId, body.new_version, body.additional_creators)
    return { replacement_room: replacement }
  },
})
