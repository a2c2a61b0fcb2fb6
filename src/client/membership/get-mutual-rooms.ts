import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { isCompliantUserId, parseUserId } from '../../matrix/ids.ts'
import { mutualRooms } from '../../rooms/mutual-rooms.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v1/mutual_rooms` (v1.19). */
export const getMutualRooms = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/mutual_rooms',
  auth: 'user',
  query: Type.Object({ user_id: Type.String(), from: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$' })) }),
  async handle(ctx, { query, requester }) {
    const other = parseUserId(query.user_id)
    if (other === undefined || !isCompliantUserId(other) || other === requester.userId) {
      throw new MatrixError('M_INVALID_PARAM', 'user_id: expected the id of somebody else')
    }
    const { rooms, count, next } = await mutualRooms(ctx, requester, other, Number(query.from ?? 0))
    return { joined: rooms, count, ...(next !== undefined && { next_batch: String(next) }) }
  },
})
