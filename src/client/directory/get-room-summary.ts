import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomAlias, parseRoomId, type RoomAlias, type RoomId } from '../../matrix/ids.ts'
import { resolveRoom } from '../../rooms/resolve-room.ts'
import { maySummarise, membershipIn, roomSummary } from '../../rooms/room-summary.ts'

const parseIdOrAlias = (text: string): RoomId | RoomAlias | undefined => parseRoomId(text) ?? parseRoomAlias(text)

/** Spec: Client-Server API, `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}` (v1.19). */
export const getRoomSummary = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v1/room_summary/{roomIdOrAlias}',
    '/_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}',
    '/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary',
  ],
  auth: 'optional',
  params: { roomIdOrAlias: parseIdOrAlias },
  async handle(ctx, { params, requester }) {
    const { roomId } = await resolveRoom(ctx, params.roomIdOrAlias)
    const room = await ctx.hotRooms.get(roomId)
    if (!room || !(await maySummarise(ctx, room, requester?.userId))) {
      throw new MatrixError('M_NOT_FOUND', 'Room not found')
    }
    const summary = roomSummary(room)
    if (!requester) return summary
    const membership = await membershipIn(ctx, room, requester.userId)
    return membership === undefined ? summary : { ...summary, membership }
  },
})
