import { authTypesFor } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import { stateKeyOf } from '../matrix/state-res/state-map.ts'
import { type DecisionEngine, decideEvent } from './decide-event.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { buildLocalEvent, type EventDraft } from './local-event.ts'
import type { Placement } from './place-event.ts'
import { createResolver } from './resolve-states.ts'
import { entriesIn, statesAfter } from './state-at.ts'

/**
 * The place of an event of ours in a room with more extremities than an event can name. It is on a fork like one that comes
 * from elsewhere, and is held to the same checks. The room must be held.
 *
 * @throws MatrixError M_FORBIDDEN when the authorisation rules refuse it; M_TOO_LARGE.
 */
export async function placementOnCrowd(ctx: DecisionEngine, room: HotRoom, draft: EventDraft): Promise<Placement> {
  const decision = await decideEvent(ctx, room, await buildOnCrowd(ctx, room, draft))
  if (decision.acceptance.outcome === 'accepted') return decision.placement!
  const reason = 'reason' in decision.acceptance ? decision.acceptance.reason : decision.acceptance.outcome
  throw new MatrixError('M_FORBIDDEN', reason)
}

/** The event, which follows as many as it can. The room must be held. */
export async function buildOnCrowd(ctx: DecisionEngine, room: HotRoom, draft: EventDraft): Promise<RoomEvent> {
  const prev = room.extremities.slice(0, MAX_PREV_EVENTS)
  const stored = await ctx.events.byNids(prev.map(({ nid }) => nid))
  const states = [...(await statesAfter(ctx, stored)).values()].flatMap((state) => (state.known ? [state.value] : []))
  const before = await createResolver(ctx, room)(states)
  const keys = authTypesFor(draft, room.rules)
  const { entries } = await entriesIn(ctx, room, before, keys)
  const auth: EventRef[] = []
  for (const [type, stateKey] of keys) {
    const entry = entries.get(stateKeyOf(type, stateKey))
    if (!entry) continue
    const { nid, kind, event } = entry
    auth.push({ nid, kind, event, senderNid: 0 })
  }
  return buildLocalEvent(ctx, room, draft, { prev, auth })
}
