import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseEventId } from '../../matrix/ids.ts'
import { readEvent } from '../../rooms/read-event.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/events/{eventId}`, deprecated (v1.19). */
export const getOneEvent = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/events/{eventId}', '/_matrix/client/r0/events/{eventId}'],
  auth: 'user',
  params: { eventId: parseEventId },
  async handle(ctx, { params: { eventId }, requester }) {
    const [stored] = await ctx.events.byIds([eventId])
    if (!stored) throw new MatrixError('M_NOT_FOUND', 'Event not found')
    return rawJson([await readEvent(ctx, requester, stored.event.roomId, eventId)])
  },
})
