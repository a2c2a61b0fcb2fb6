import { Type } from '@sinclair/typebox'
import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { eventsAfter } from '../../sync/event-stream.ts'
import { formatTimelineToken, parseTimelineToken } from '../../sync/token.ts'
import { wokenUp } from '../../sync/wait-for-sync.ts'
import { peekEvents, type StreamRequest } from './peek-events.ts'
import { longestTimeout } from './sync.ts'

const mostEvents = 100

/**
 * What happens in the rooms of a user, or with `room_id` in one of which the user need not be a member.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/events` and the same with `room_id`, deprecated the one (v1.19). They are events of
 * rooms alone: what else happens has no `event_id`, which the specification asks for here.
 */
export const getEvents = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/events', '/_matrix/client/r0/events'],
  auth: 'userOrGuest',
  query: Type.Object({
    room_id: Type.Optional(Type.String()),
    from: Type.Optional(Type.String()),
    timeout: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  async handle(ctx, { query, requester, request }) {
    const gone = new AbortController()
    request.once('close', () => gone.abort())
    const wanted: StreamRequest = {
      from: query.from === undefined ? undefined : parseTimelineToken(query.from),
      timeout: Math.min(query.timeout ?? 0, longestTimeout),
      gone: gone.signal,
    }
    // Another process may have given out the token.
    if (wanted.from !== undefined && wanted.from > ctx.stream.position) await ctx.stream.catchUp()
    if (query.room_id !== undefined) return peekEvents(ctx, requester, query.room_id, wanted)
    if (requester.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests have to say which room')
    return streamEvents(ctx, requester, wanted)
  },
})

async function streamEvents(ctx: Context, requester: Requester, { from, timeout, gone }: StreamRequest) {
  const { userId, userNid, deviceId = '', domain } = requester
  const reader = { userId, userNid, deviceId, domain }
  const start = from ?? ctx.stream.position
  const deadline = ctx.clock.monotonic() + timeout
  for (;;) {
    const session = await ctx.sessions.of(reader)
    const seen = ctx.stream.position
    const { events, upTo, isCut } = await eventsAfter(ctx, session, reader, {
      after: start,
      upTo: seen,
      limit: mostEvents,
    })
    const left = deadline - ctx.clock.monotonic()
    if (events.length > 0 || isCut || left <= 0 || gone.aborted || ctx.closing.aborted) {
      const [first, last] = [formatTimelineToken(start), formatTimelineToken(upTo)]
      return rawJson([`{"start":"${first}","end":"${last}","chunk":[${events.join(',')}]}`])
    }
    await wokenUp(ctx, session.waiters, seen, left, gone)
  }
}
