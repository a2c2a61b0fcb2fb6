import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { type ListedRoom, listRooms as list, listedRoom, roomOrders } from '../../storage/admin-rooms.ts'
import { dir, from, limit, text } from '../schemas.ts'

/** Orders whose larger values come first unless asked otherwise. */
const largestFirst: ReadonlySet<string> = new Set([
  'joined_members',
  'joined_local_members',
  'state_events',
  'version',
  'size',
])

export const listRooms = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms',
  auth: 'admin',
  query: Type.Object({
    from,
    limit,
    dir,
    order_by: Type.Optional(Type.String()),
    search_term: Type.Optional(text),
    public_rooms: Type.Optional(Type.Boolean()),
    empty_rooms: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { query }) {
    const { from = 0, limit = 100, order_by: order = 'name' } = query
    if (!isOrder(order)) throw new MatrixError('M_INVALID_PARAM', `Rooms cannot be ordered by ${order}`)
    if (query.search_term === '') throw new MatrixError('M_INVALID_PARAM', 'search_term must not be empty')
    const backwards = (query.dir === 'b') !== largestFirst.has(order)
    const filter = { search: query.search_term, isPublic: query.public_rooms, isEmpty: query.empty_rooms }
    const { rooms, total } = await list(ctx.database.db, filter, { from, limit, order, backwards })
    return {
      rooms: rooms.map(listedRoomAnswer),
      offset: from,
      total_rooms: total,
      ...(from + rooms.length < total && { next_batch: from + rooms.length }),
      ...(from > 0 && { prev_batch: Math.max(0, from - limit) }),
    }
  },
})

export const getRoom = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/rooms/{roomId}',
  auth: 'admin',
  params: { roomId: parseRoomId },
  async handle(ctx, { params }) {
    const [room] = await ctx.database.read(listedRoom, [params.roomId])
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Room not found')
    return {
      ...listedRoomAnswer(room),
      topic: room.topic,
      avatar: room.avatar,
      forgotten: room.joined_local_members === 0,
    }
  },
})

function isOrder(text: string): text is keyof typeof roomOrders {
  return Object.hasOwn(roomOrders, text)
}

function listedRoomAnswer({ room: _number, topic: _topic, avatar: _avatar, ...room }: ListedRoom) {
  return room
}
