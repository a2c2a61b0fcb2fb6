import type { Context } from '../context.ts'
import { authorisingServer, authTypesFor } from '../matrix/auth-rules/index.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { buildEvent } from '../matrix/event-format.ts'
import { referenceHash } from '../matrix/hashes.ts'
import { type EventId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_DEPTH } from '../matrix/limits.ts'
import { signEvent } from '../matrix/signatures.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { listenersIn } from './audience.ts'
import { guestAccess, isJoinOfGuest } from './guest-access.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import type { StateTuple } from './hot-rooms.ts'
import { mentionedIn } from './unread.ts'

/** An event that one of our users wants to have, before it has its place in the room. */
export type EventDraft = {
  readonly type: string
  readonly sender: UserId
  readonly stateKey?: string
  readonly content: JsonObject
  /** Milliseconds since the epoch; now, when absent. */
  readonly originServerTs?: number
  readonly redacts?: EventId
  /** Milliseconds for which it is sticky. Spec: MSC4354. */
  readonly stickyMs?: number
  /** The sender is a guest, who comes into no room but those that let guests in. */
  readonly isOfGuest?: boolean
}

type Engine = Pick<
  Context,
  'domains' | 'clock' | 'random' | 'dictionaries' | 'hotRooms' | 'audiences' | 'threadAudiences'
>

/** The state that must be in memory before a draft can be appended. */
export function stateNeededBy(room: HotRoom, draft: EventDraft): StateTuple[] {
  const needed: StateTuple[] = [...authTypesFor(draft, room.rules), ['m.room.member', draft.sender]]
  if (draft.stateKey !== undefined) needed.push([draft.type, draft.stateKey])
  if (isJoinOfGuest(draft)) needed.push([guestAccess, ''])
  for (const userId of mentionedIn(draft.content)) needed.push(['m.room.member', userId])
  return needed
}

/** What a draft cites of the current state, which was loaded before. */
export function authRefs(room: HotRoom, draft: EventDraft): EventRef[] {
  return authTypesFor(draft, room.rules).flatMap(([type, stateKey]) => room.entry(type, stateKey)?.ref ?? [])
}

/** The event that says already what a draft would. Setting a state key to what it is is no new event: clients do it all the time. */
export function unchangedState(room: HotRoom, draft: EventDraft): EventId | undefined {
  if (draft.stateKey === undefined) return undefined
  const current = room.get(draft.type, draft.stateKey)
  if (!current || current.pdu.sender !== draft.sender) return undefined
  const same = JSON.stringify(current.pdu.content) === JSON.stringify(draft.content)
  return same ? current.eventId : undefined
}

/**
 * Loads and numbers everything that is looked at when events like these are placed in a room, so that nothing has to wait.
 * Undefined when all of it is there.
 */
export function loadForDrafts(ctx: Engine, room: HotRoom, drafts: readonly EventDraft[]): Promise<unknown> | undefined {
  const users = new Set<UserId>()
  for (const draft of drafts) {
    users.add(draft.sender)
    if (draft.type === 'm.room.member' && draft.stateKey !== undefined) users.add(draft.stateKey as UserId)
  }
  const kinds = drafts.map(({ type, stateKey }) => ({ type, stateKey }))
  const { cachedUser, internUsers, cachedKind, internKinds } = ctx.dictionaries
  const waits = [
    loadListeners(ctx, room),
    ctx.threadAudiences.load(room, drafts),
    findMentioned(ctx, drafts),
    [...users].every((user) => cachedUser(user)) ? undefined : internUsers([...users]),
    kinds.every((kind) => cachedKind(kindKey(kind.type, kind.stateKey))) ? undefined : internKinds(kinds),
    ctx.hotRooms.load(
      room,
      drafts.flatMap((draft) => stateNeededBy(room, draft)),
    ),
  ]
  return waits.some((wait) => wait !== undefined) ? Promise.all(waits) : undefined
}

/** Rules that look for the display name of their user in a room need to know it. */
function loadListeners(ctx: Pick<Engine, 'audiences' | 'hotRooms'>, room: HotRoom): Promise<void> | undefined {
  const loading = ctx.audiences.load(room)
  return loading ? loading.then(() => loadNamed(ctx, room)) : loadNamed(ctx, room)
}

function loadNamed(ctx: Pick<Engine, 'hotRooms'>, room: HotRoom): Promise<void> | undefined {
  const named = [...listenersIn(room)].filter(({ rules }) => rules.usesDisplayName)
  return ctx.hotRooms.load(
    room,
    named.map(({ userId }) => ['m.room.member', userId]),
  )
}

/** Their numbers must be known; who has none is in no room here. */
function findMentioned(ctx: Pick<Engine, 'dictionaries'>, drafts: readonly EventDraft[]): Promise<unknown> | undefined {
  const mentioned = drafts.flatMap((draft) => mentionedIn(draft.content))
  const areKnown = mentioned.every((userId) => ctx.dictionaries.cachedUser(userId) !== undefined)
  return areKnown ? undefined : ctx.dictionaries.findUsers(mentioned)
}

/**
 * Builds and signs the event of a draft.
 *
 * @throws MatrixError M_TOO_LARGE; M_BAD_JSON
 */
export function buildLocalEvent(
  ctx: Pick<Engine, 'domains' | 'clock' | 'random'>,
  room: HotRoom,
  draft: EventDraft,
  cited: { readonly prev: readonly EventRef[]; readonly auth: readonly EventRef[] },
): RoomEvent {
  const serverName = serverNameOf(draft.sender)
  const { prev, auth } = cited
  const event = buildEvent(
    {
      type: draft.type,
      sender: draft.sender,
      ...(!isCreateOf(room, draft) && { roomId: room.roomId }),
      ...(draft.stateKey !== undefined && { stateKey: draft.stateKey }),
      content: draft.content,
      originServerTs: draft.originServerTs ?? ctx.clock.now(),
      depth: Math.min(room.depth + 1, MAX_DEPTH),
      prevEvents: prev.map(({ event }) => event.eventId),
      authEvents: auth.map(({ event }) => event.eventId),
      ...(draft.redacts !== undefined && { redacts: draft.redacts }),
      ...(draft.stickyMs !== undefined && { stickyMs: draft.stickyMs }),
      ...(room.rules.eventFormat === 'v1' && {
        eventIdLocalpart: ctx.random.token(18),
        hashesOf: new Map([...prev, ...auth].map(({ event }) => [event.eventId, referenceHash(event.pdu, room.rules)])),
      }),
    },
    room.rules,
    serverName,
    ctx.domains.keyOf(serverName),
  )
  // Who vouches for the join may be of another domain of ours, which has to sign too.
  const vouching = authorisingServer(event, room.rules)
  if (vouching === undefined || vouching === serverName || !ctx.domains.isLocal(vouching)) return event
  return { ...event, pdu: signEvent(event.pdu, vouching, ctx.domains.keyOf(vouching), room.rules) }
}

/** From room version 12 on the create event does not name its room, whose id is made of it. */
function isCreateOf(room: HotRoom, draft: EventDraft): boolean {
  return room.rules.createEventIsRoomId && draft.type === 'm.room.create' && draft.stateKey === ''
}
