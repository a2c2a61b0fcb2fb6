import { checkAuth } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { RoomId } from '../matrix/ids.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import { refusal } from './append-event.ts'
import { buildOnCrowd } from './crowded-room.ts'
import type { DecisionEngine } from './decide-event.ts'
import type { HotRoom } from './hot-room.ts'
import { authRefs, buildLocalEvent, type EventDraft, loadForDrafts } from './local-event.ts'

const attempts = 3

/**
 * Builds an event of ours that others look at before it has its place: on the room's extremities, all of which they can ask
 * for. Wherever the room is by then, it is accepted like an event from outside.
 *
 * @throws MatrixError M_FORBIDDEN where the authorisation rules refuse it now; M_BAD_JSON; M_TOO_LARGE; M_NOT_FOUND.
 */
export async function buildAhead(
  ctx: DecisionEngine,
  roomId: RoomId,
  draft: EventDraft,
): Promise<{ room: HotRoom; event: RoomEvent }> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    const release = await room.hold()
    try {
      if (!room.failed) {
        const event = await buildIn(ctx, room, draft)
        const verdict = checkAuth(event, room, room.rules)
        if (verdict.allowed) return { room, event }
        if (!room.failed && (await ctx.hotRooms.isCurrent(room))) throw refusal(verdict)
      }
    } finally {
      release()
    }
    ctx.hotRooms.drop(room)
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

async function buildIn(ctx: DecisionEngine, room: HotRoom, draft: EventDraft): Promise<RoomEvent> {
  await loadForDrafts(ctx, room, [draft])
  if (room.extremities.length > MAX_PREV_EVENTS) return buildOnCrowd(ctx, room, draft)
  return buildLocalEvent(ctx, room, draft, { prev: room.extremities, auth: authRefs(room, draft) })
}
