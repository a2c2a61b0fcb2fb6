import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { type Page, paginate } from '../../rooms/paginate.ts'
import { roomEventFilterOf } from '../../sync/filters.ts'
import { formatTimelineToken, parseTimelineToken } from '../../sync/token.ts'
import { wokenUp } from '../../sync/wait-for-sync.ts'
import { longestTimeout } from './sync.ts'

const mostEvents = 100

/**
 * What happens in a room, for those who look into it without being in it: clients that show a room before it is joined ask for
 * it after `initialSync`.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/events` with `room_id` (v1.19).
 */
export const peekEvents = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/events', '/_matrix/client/r0/events'],
  auth: 'userOrGuest',
  query: Type.Object({
    // The stream of all rooms, without it, has long been that of `/sync`.
    room_id: Type.String(),
    from: Type.Optional(Type.String()),
    timeout: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  async handle(ctx, { query, requester, request }) {
    const roomId = parseRoomId(query.room_id)
    if (roomId === undefined) throw new MatrixError('M_INVALID_PARAM', 'room_id is no room id')
    const gone = new AbortController()
    request.once('close', () => gone.abort())
    const from = query.from === undefined ? undefined : parseTimelineToken(query.from)
    // Another process may have given out the token.
    if (from !== undefined && from > ctx.stream.position) await ctx.stream.catchUp()
    const start = from ?? ctx.stream.position
    const deadline = ctx.clock.monotonic() + Math.min(query.timeout ?? 0, longestTimeout)
    for (;;) {
      const seen = ctx.stream.position
      const page = await paginate(ctx, roomId, requester, {
        from: start,
        to: seen,
        backwards: false,
        limit: mostEvents,
        filter: roomEventFilterOf(undefined),
      })
      const left = deadline - ctx.clock.monotonic()
      const isOver = page.events.length > 0 || left <= 0 || gone.signal.aborted || ctx.closing.aborted
      if (isOver || page.end !== undefined) return answerOf(page, seen)
      const room = (await ctx.hotRooms.get(roomId))!
      await wokenUp(ctx, ctx.roomWaiters.of(room.room), seen, left, gone.signal)
    }
  },
})

function answerOf({ start, end, events }: Page, seen: number) {
  return rawJson([`{"start":"${start}","end":"${end ?? formatTimelineToken(seen)}","chunk":[${events.join(',')}]}`])
}
