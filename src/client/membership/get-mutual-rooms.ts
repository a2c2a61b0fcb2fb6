import { type Static, Type } from '@sinclair/typebox'
import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { isCompliantUserId, parseUserId } from '../../matrix/ids.ts'
import { mutualRooms } from '../../rooms/mutual-rooms.ts'

const query = Type.Object({
  user_id: Type.String(),
  from: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$' })),
})

/** Spec: Client-Server API, `GET /_matrix/client/v1/mutual_rooms` (v1.19). */
export const getMutualRooms = endpoint({
  method: 'get',
  path: '/_matrix/client/v1/mutual_rooms',
  auth: 'user',
  query,
  handle: (ctx, call) => answer(ctx, call.requester, call.query),
})

/** Spec: MSC2666, "Unstable prefix". */
export const getMutualRoomsUnstable = endpoint({
  method: 'get',
  path: '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms',
  auth: 'user',
  when: ({ experimental }) => experimental.msc2666,
  query,
  handle: (ctx, call) => answer(ctx, call.requester, call.query),
})

/** @throws MatrixError M_INVALID_PARAM for oneself, and for what nobody can be called. */
async function answer(ctx: Context, requester: Requester, asked: Static<typeof query>) {
  const other = parseUserId(asked.user_id)
  if (other === undefined || !isCompliantUserId(other) || other === requester.userId) {
    throw new MatrixError('M_INVALID_PARAM', 'user_id: expected the id of somebody else')
  }
  const { rooms, count, next } = await mutualRooms(ctx, requester, other, Number(asked.from ?? 0))
  return { joined: rooms, count, ...(next !== undefined && { next_batch: String(next) }) }
}
