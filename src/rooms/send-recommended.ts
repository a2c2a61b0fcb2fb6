import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { buildAhead } from './build-ahead.ts'
import { type Decision, type DecisionEngine, decideEvent } from './decide-event.ts'
import { refuseJoinOfGuest } from './guest-access.ts'
import { type EventDraft, stateNeededBy, unchangedState } from './local-event.ts'
import { place } from './place-event.ts'
import { withRecommendation } from './policy-server.ts'
import { type Transaction, writeRoom } from './write-room.ts'

type Engine = DecisionEngine & Pick<Context, 'writer' | 'sentTransactions' | 'remoteServers'>

const attempts = 3

/**
 * Sends an event of one of our users to a room whose policy server has to recommend it first. The room does not wait
 * for that: others write to it meanwhile.
 *
 * Spec: Server-Server API, "Asking for a Policy Server signature on an event" (v1.19).
 *
 * @throws MatrixError what the policy server refuses it with; M_CONNECTION_FAILED; M_FORBIDDEN, M_BAD_JSON, M_TOO_LARGE.
 * Nothing is stored then.
 */
export async function sendRecommended(
  ctx: Engine,
  roomId: RoomId,
  draft: EventDraft,
  transaction: Transaction | undefined,
): Promise<EventId> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { room, event } = await buildAhead(ctx, roomId, draft)
    const existing = unchangedState(room, draft)
    if (existing !== undefined) return existing
    const signed = await withRecommendation(ctx, room, event)
    if (await placeSigned(ctx, draft, signed, transaction)) return event.eventId
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

/** False when what the event follows has not come to be. */
async function placeSigned(
  ctx: Engine,
  draft: EventDraft,
  event: RoomEvent,
  transaction: Transaction | undefined,
): Promise<boolean> {
  let decision: Decision | undefined
  const appended = await writeRoom(ctx, event.roomId, {
    isAlone: true,
    ...(transaction && { transaction }),
    async prepare(room) {
      await ctx.hotRooms.load(room, stateNeededBy(room, draft))
      refuseJoinOfGuest(room, draft)
      decision = await decideEvent(ctx, room, event)
      const { acceptance } = decision
      if ('reason' in acceptance) throw new MatrixError('M_FORBIDDEN', acceptance.reason)
    },
    append: (room) => (decision?.placement ? [place(room, decision.placement)] : []),
  })
  return appended.length > 0
}
