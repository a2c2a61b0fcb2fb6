import type { Context } from '../context.ts'
import { authTypesFor, checkAuth } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import { type AcceptEngine, acceptEvent } from './accept-event.ts'
import { buildLocalEvent, type EventDraft, loadForDrafts } from './local-event.ts'
import { shownState } from './shown-state.ts'

const attempts = 3

type Engine = AcceptEngine & Pick<Context, 'remoteServers'>

/**
 * Invites a user of another server, which signs the invite before it has its place in the room.
 *
 * Spec: Server-Server API, "Inviting to a room" (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN where the rules or the other server refuse; M_CONNECTION_FAILED; M_NOT_FOUND.
 */
export async function inviteElsewhere(ctx: Engine, roomId: RoomId, draft: EventDraft): Promise<EventId> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    await loadForDrafts(ctx, room, [draft])
    // The other server must be able to ask for what the invite cites.
    await room.written()
    const event = invite(ctx, room, draft)
    const verdict = checkAuth(event, room, room.rules)
    if (!verdict.allowed) {
      if (!room.failed && (await ctx.hotRooms.isCurrent(room))) throw new MatrixError('M_FORBIDDEN', verdict.reason)
      ctx.hotRooms.drop(room)
      continue
    }
    const shown = await shownState(ctx, room, [['m.room.member', draft.sender]])
    const signed = await ctx.remoteServers.current.invite(event, room, shown)
    const { outcome, ...why } = await acceptEvent(ctx, signed)
    if (outcome === 'accepted' || outcome === 'known') return event.eventId
    if (outcome !== 'missing') throw new MatrixError('M_FORBIDDEN', 'reason' in why ? why.reason : 'Not allowed')
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

function invite(ctx: Engine, room: Parameters<typeof buildLocalEvent>[1], draft: EventDraft): RoomEvent {
  const auth = authTypesFor(draft, room.rules).flatMap(([type, stateKey]) => room.entry(type, stateKey)?.ref ?? [])
  return buildLocalEvent(ctx, room, draft, { prev: room.extremities.slice(0, MAX_PREV_EVENTS), auth })
}
