import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { changeMembership } from '../../rooms/membership.ts'
import { resolveRoom } from '../../rooms/resolve-room.ts'
import { parseRoomIdOrAlias, reason } from '../rooms/schemas.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/knock/{roomIdOrAlias}` (v1.19). */
export const knockRoom = endpoint({
  method: 'post',
  path: '/_matrix/client/v3/knock/{roomIdOrAlias}',
  auth: 'user',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  rateLimit: { kind: 'join_local', by: 'user' },
  body: Type.Object({ reason }),
  async handle(ctx, { params, body, requester }) {
    const { roomId } = await resolveRoom(ctx, params.roomIdOrAlias)
    await changeMembership(ctx, roomId, {
      sender: requester.userId,
      target: requester.userId,
      membership: 'knock',
      ...(body.reason !== undefined && { reason: body.reason }),
    })
    return { room_id: roomId }
  },
})
