import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { type AcceptEngine, acceptEvent } from './accept-event.ts'
import { buildAhead } from './build-ahead.ts'
import type { EventDraft } from './local-event.ts'
import { withRecommendation } from './policy-server.ts'
import { shownState } from './shown-state.ts'

const attempts = 3

type Engine = AcceptEngine & Pick<Context, 'remoteServers'>

/**
 * Invites a user of another server, which signs the invite before it has its place in the room.
 *
 * Spec: Server-Server API, "Inviting to a room" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN where the rules or the other server refuse; M_CONNECTION_FAILED; M_NOT_FOUND; what the
 * room's policy server says.
 */
export async function inviteElsewhere(ctx: Engine, roomId: RoomId, draft: EventDraft): Promise<EventId> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { room, event } = await buildAhead(ctx, roomId, draft)
    const recommended = await withRecommendation(ctx, room, event)
    const shown = await shownState(ctx, room, [['m.room.member', draft.sender]])
    const signed = await ctx.remoteServers.current.invite(recommended, room, shown)
    const { outcome, ...why } = await acceptEvent(ctx, signed)
    if (outcome === 'accepted' || outcome === 'known') return event.eventId
    if (outcome !== 'missing') throw new MatrixError('M_FORBIDDEN', 'reason' in why ? why.reason : 'Not allowed')
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}
