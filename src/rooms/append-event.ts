import { checkAuth } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import { placementOnCrowd } from './crowded-room.ts'
import { refuseJoinOfGuest } from './guest-access.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { authRefs, buildLocalEvent, type EventDraft, loadForDrafts } from './local-event.ts'
import { type Appended, type Placement, place, type StateChange } from './place-event.ts'
import { countsAsUnread } from './unread.ts'

export type { EventDraft } from './local-event.ts'
export type { Appended, StateChange } from './place-event.ts'

type Engine = Parameters<typeof placementOnCrowd>[0]

/** What was worked out for drafts in rooms with more extremities than an event can name. */
const onCrowds = new WeakMap<EventDraft, { room: HotRoom; version: number; placement: Placement }>()

/**
 * Makes it possible for `appendLocalEvent` to run without waiting. A room with more extremities than an event can name must
 * be held by the caller.
 *
 * @throws MatrixError what `appendLocalEvent` throws, if it is known already.
 */
export async function prepareAppend(ctx: Engine, room: HotRoom, drafts: readonly EventDraft[]): Promise<void> {
  // Asked first: whoever finds the room crowded holds it.
  const isCrowded = room.extremities.length > MAX_PREV_EVENTS
  const loading = loadForDrafts(ctx, room, drafts)
  if (loading) await loading
  if (!isCrowded) return
  const { version } = room
  // Once the first has its place, those after it find the room less crowded, so one is prepared at a time.
  const draft = drafts[0]!
  onCrowds.set(draft, { room, version, placement: await placementOnCrowd(ctx, room, draft) })
}

/**
 * Builds a draft on the room's extremities, checks it against the current state and gives it its place, at once: between
 * the check and the place nothing can come in between.
 *
 * The state before such an event is the room's resolved state, so nothing is stored for it (docs/architecture.md, "State
 * is a history").
 *
 * @throws MatrixError M_FORBIDDEN when the authorisation rules refuse it; M_GUEST_ACCESS_FORBIDDEN; M_BAD_JSON when it is wrong
 * in itself; M_TOO_LARGE.
 */
export function appendLocalEvent(
  ctx: Engine,
  room: HotRoom,
  draft: EventDraft,
  options: { redacts?: StoredEvent } = {},
): Appended {
  refuseJoinOfGuest(room, draft)
  const crowded = onCrowds.get(draft)
  if (crowded?.room === room && crowded.version === room.version) return place(room, crowded.placement)
  if (room.extremities.length > MAX_PREV_EVENTS) throw new Error('a crowded room was not prepared for an event')
  const prev = room.extremities
  const auth = authRefs(room, draft)
  const event = buildLocalEvent(ctx, room, draft, { prev, auth })
  const verdict = checkAuth(event, room, room.rules)
  if (!verdict.allowed) throw refusal(verdict)
  return placeLocal(ctx, room, event, prev, auth, options.redacts)
}

/** What a client is told of an event of its own that the rules refuse. */
export function refusal(verdict: { readonly reason: string; readonly malformed?: true }): MatrixError {
  return new MatrixError(verdict.malformed ? 'M_BAD_JSON' : 'M_FORBIDDEN', verdict.reason)
}

function placeLocal(
  ctx: Pick<Engine, 'config' | 'dictionaries'>,
  room: HotRoom,
  event: RoomEvent,
  prev: readonly EventRef[],
  auth: readonly EventRef[],
  redacts: StoredEvent | undefined,
): Appended {
  const { type, state_key: stateKey, sender } = event.pdu
  const kind = ctx.dictionaries.cachedKind(kindKey(type, stateKey))!
  const ref: EventRef = { nid: 0, kind, senderNid: ctx.dictionaries.cachedUser(sender)!, event, before: 'implied' }
  const changes: StateChange[] = []
  if (stateKey !== undefined) {
    changes.push({ type, stateKey, kind, from: room.entry(type, stateKey), to: { ref, since: 0 } })
  }
  const unread = countsAsUnread(ctx, room, event)
  return place(room, {
    ref,
    flags: stateKey === undefined ? 0 : EventFlags.state,
    timeline: true,
    prev,
    auth,
    stateDelta: null,
    changes,
    unread,
    redacts,
    extremities: [ref],
  })
}
