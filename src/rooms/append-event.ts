import type { Context } from '../context.ts'
import { authTypesFor, checkAuth } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { buildEvent } from '../matrix/event-format.ts'
import { referenceHash } from '../matrix/hashes.ts'
import { type EventId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import type { StateTuple } from './hot-rooms.ts'
import { type Appended, place, type StateChange } from './place-event.ts'
import { countsAsUnread, mentionedIn } from './unread.ts'

export type { Appended, StateChange } from './place-event.ts'

/** An event that one of our users wants to have, before it has its place in the room. */
export type EventDraft = {
  readonly type: string
  readonly sender: UserId
  readonly stateKey?: string
  readonly content: JsonObject
  /** Milliseconds since the epoch; now, when absent. */
  readonly originServerTs?: number
  readonly redacts?: EventId
}

type Engine = Pick<Context, 'domains' | 'clock' | 'random' | 'dictionaries' | 'hotRooms' | 'audiences'>

/** The state that must be in memory before a draft can be appended. */
export function stateNeededBy(room: HotRoom, draft: EventDraft): StateTuple[] {
  const needed: StateTuple[] = [...authTypesFor(draft, room.rules), ['m.room.member', draft.sender]]
  if (draft.stateKey !== undefined) needed.push([draft.type, draft.stateKey])
  for (const userId of mentionedIn(draft.content)) needed.push(['m.room.member', userId])
  return needed
}

/** Loads and numbers everything that `appendLocalEvent` will look at, so that it can run without waiting. */
export async function prepareAppend(ctx: Engine, room: HotRoom, drafts: readonly EventDraft[]): Promise<void> {
  const users = new Set<UserId>()
  for (const draft of drafts) {
    users.add(draft.sender)
    if (draft.type === 'm.room.member' && draft.stateKey !== undefined) users.add(draft.stateKey as UserId)
  }
  const kinds = drafts.map(({ type, stateKey }) => ({ type, stateKey }))
  await Promise.all([
    ctx.audiences.load(room),
    findMentioned(ctx, drafts),
    [...users].every((user) => ctx.dictionaries.cachedUser(user)) || ctx.dictionaries.internUsers([...users]),
    kinds.every((kind) => ctx.dictionaries.cachedKind(kindKey(kind.type, kind.stateKey))) ||
      ctx.dictionaries.internKinds(kinds),
    ctx.hotRooms.load(
      room,
      drafts.flatMap((draft) => stateNeededBy(room, draft)),
    ),
  ])
}

/** Their numbers must be known; who has none is in no room here. */
async function findMentioned(ctx: Pick<Engine, 'dictionaries'>, drafts: readonly EventDraft[]): Promise<void> {
  const mentioned = drafts.flatMap((draft) => mentionedIn(draft.content))
  if (mentioned.some((userId) => ctx.dictionaries.cachedUser(userId) === undefined)) {
    await ctx.dictionaries.findUsers(mentioned)
  }
}

/**
 * Builds a draft on the room's extremities, checks it against the current state and gives it its place, at once: between
 * the check and the place nothing can come in between.
 *
 * The state before such an event is the room's resolved state, so nothing is stored for it (docs/architecture.md, "State
 * is a history").
 *
 * @throws MatrixError M_FORBIDDEN when the authorisation rules refuse it; M_TOO_LARGE.
 */
export function appendLocalEvent(
  ctx: Engine,
  room: HotRoom,
  draft: EventDraft,
  options: { redacts?: StoredEvent } = {},
): Appended {
  const serverName = serverNameOf(draft.sender)!
  const prev = room.extremities.slice(0, MAX_PREV_EVENTS)
  const auth = authRefs(room, draft)
  const event = buildEvent(
    {
      type: draft.type,
      sender: draft.sender,
      ...(!isCreateOf(room, draft) && { roomId: room.roomId }),
      ...(draft.stateKey !== undefined && { stateKey: draft.stateKey }),
      content: draft.content,
      originServerTs: draft.originServerTs ?? ctx.clock.now(),
      depth: Math.min(room.depth + 1, Number.MAX_SAFE_INTEGER),
      prevEvents: prev.map(({ event }) => event.eventId),
      authEvents: auth.map(({ event }) => event.eventId),
      ...(draft.redacts !== undefined && { redacts: draft.redacts }),
      ...(room.rules.eventFormat === 'v1' && {
        eventIdLocalpart: ctx.random.token(18),
        hashesOf: new Map([...prev, ...auth].map(({ event }) => [event.eventId, referenceHash(event.pdu, room.rules)])),
      }),
    },
    room.rules,
    serverName,
    ctx.domains.keyOf(serverName),
  )
  const verdict = checkAuth(event, room, room.rules)
  if (!verdict.allowed) throw new MatrixError('M_FORBIDDEN', verdict.reason)
  return placeLocal(ctx, room, event, prev, auth, options.redacts)
}

/** From room version 12 on the create event does not name its room, whose id is made of it. */
function isCreateOf(room: HotRoom, draft: EventDraft): boolean {
  return room.rules.createEventIsRoomId && draft.type === 'm.room.create' && draft.stateKey === ''
}

function authRefs(room: HotRoom, draft: EventDraft): EventRef[] {
  const refs: EventRef[] = []
  for (const [type, stateKey] of authTypesFor(draft, room.rules)) {
    const entry = room.entry(type, stateKey)
    if (entry) refs.push(entry.ref)
  }
  return refs
}

function placeLocal(
  ctx: Pick<Engine, 'dictionaries'>,
  room: HotRoom,
  event: RoomEvent,
  prev: readonly EventRef[],
  auth: readonly EventRef[],
  redacts: StoredEvent | undefined,
): Appended {
  const { type, state_key: stateKey, sender } = event.pdu
  const kind = ctx.dictionaries.cachedKind(kindKey(type, stateKey))!
  const ref: EventRef = { nid: 0, kind, senderNid: ctx.dictionaries.cachedUser(sender)!, event }
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
    extremities: [...room.extremities.slice(prev.length), ref],
  })
}
