import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { reason } from '../rooms/schemas.ts'
import { joinWithinLimits } from './within-limits.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/join` (v1.19). */
export const joinRoomById = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/join', '/_matrix/client/r0/rooms/{roomId}/join'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  rateLimit: { kind: 'join_local', by: 'user' },
  body: Type.Object({ reason }),
  async handle(ctx, { params, body, requester }) {
    return { room_id: await joinWithinLimits(ctx, requester, params.roomId, body as JsonObject) }
  },
})
