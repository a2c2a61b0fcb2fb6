import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { rawJson } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { type Page, paginate } from '../../rooms/paginate.ts'
import { roomEventFilterOf } from '../../sync/filters.ts'
import { formatTimelineToken } from '../../sync/token.ts'
import { wokenUp } from '../../sync/wait-for-sync.ts'

const mostEvents = 100

export type StreamRequest = {
  /** A position; undefined: now. */
  readonly from: number | undefined
  /** Milliseconds to wait for the first event. */
  readonly timeout: number
  /** Aborted when the client has gone away. */
  readonly gone: AbortSignal
}

/**
 * What happens in a room, for those who look into it without being in it: clients that show a room before it is joined ask for
 * it after `initialSync`.
 *
 * @throws MatrixError M_INVALID_PARAM, M_FORBIDDEN
 */
export async function peekEvents(
  ctx: Context,
  requester: Requester,
  room: string,
  { from, timeout, gone }: StreamRequest,
) {
  const roomId = parseRoomId(room)
  if (roomId === undefined) throw new MatrixError('M_INVALID_PARAM', 'room_id is no room id')
  const start = from ?? ctx.stream.position
  const deadline = ctx.clock.monotonic() + timeout
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
    const isOver = page.events.length > 0 || left <= 0 || gone.aborted || ctx.closing.aborted
    if (isOver || page.end !== undefined) return answerOf(page, seen)
    const hot = (await ctx.hotRooms.get(roomId))!
    await wokenUp(ctx, ctx.roomWaiters.of(hot.room), seen, left, gone)
  }
}

function answerOf({ start, end, events }: Page, seen: number) {
  return rawJson([`{"start":"${start}","end":"${end ?? formatTimelineToken(seen)}","chunk":[${events.join(',')}]}`])
}
