import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { readStateEntry } from '../../rooms/read-state.ts'
import { parseStateKey, parseType } from './schemas.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` (v1.19). */
export const getRoomStateWithKey = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}',
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}/',
    '/_matrix/client/v3/rooms/{roomId}/state/{eventType}',
    '/_matrix/client/r0/rooms/{roomId}/state/{eventType}/{stateKey}',
    '/_matrix/client/r0/rooms/{roomId}/state/{eventType}/',
    '/_matrix/client/r0/rooms/{roomId}/state/{eventType}',
  ],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId, eventType: parseType, stateKey: parseStateKey },
  query: Type.Object({ format: Type.Optional(Type.Union([Type.Literal('content'), Type.Literal('event')])) }),
  async handle(ctx, { params, query, requester }) {
    const { roomId, eventType, stateKey } = params
    const entry = await readStateEntry(ctx, roomId, requester, [eventType, stateKey], query.format ?? 'content')
    if (!entry) throw new MatrixError('M_NOT_FOUND', 'No such state')
    return entry
  },
})
