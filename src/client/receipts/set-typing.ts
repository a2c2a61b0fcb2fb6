import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, parseUserId } from '../../matrix/ids.ts'
import { joinedRoom } from '../../rooms/room-access.ts'

/** Milliseconds. */
const defaultTimeout = 30_000
const longestTimeout = 120_000

/** Spec: Client-Server API, `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}` (v1.19). */
export const setTyping = endpoint({
  method: 'put',
  path: ['/_matrix/client/v3/rooms/{roomId}/typing/{userId}', '/_matrix/client/r0/rooms/{roomId}/typing/{userId}'],
  auth: 'user',
  params: { roomId: parseRoomId, userId: parseUserId },
  body: Type.Object({ typing: Type.Boolean(), timeout: Type.Optional(Type.Integer({ minimum: 0 })) }),
  async handle(ctx, { params, body, requester }) {
    if (params.userId !== requester.userId) throw new MatrixError('M_FORBIDDEN', 'Nobody types for others')
    const room = await joinedRoom(ctx, params.roomId, requester.userId)
    const timeout = Math.min(body.timeout ?? defaultTimeout, longestTimeout)
    ctx.typing.set(room.room, requester.userId, body.typing ? ctx.clock.now() + timeout : undefined)
    ctx.presence?.active(requester)
    return {}
  },
})
