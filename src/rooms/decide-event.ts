import type { Context } from '../context.ts'
import { checkAuth, type Verdict } from '../matrix/auth-rules/index.ts'
import { createEventIdOf, type RoomEvent } from '../matrix/event.ts'
import type { EventId } from '../matrix/ids.ts'
import { stateKeyOf } from '../matrix/state-res/state-map.ts'
import { kindKey } from '../storage/dictionaries.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import { lastStateChange } from '../storage/room-state.ts'
import { behindRefused } from './behind-refused.ts'
import { authKeysOf, authStateIn, type CitedAuthEvent, checkCitedAuth, isStorable } from './check-arrival.ts'
import { type CitedEvents, loadCitedEvents, type NamedEvents, namedEvents } from './cited-events.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { refOf } from './hot-rooms.ts'
import { type EventDraft, loadForDrafts } from './local-event.ts'
import type { Arrival, Placement, StateChange } from './place-event.ts'
import { pruneIfRedacted, targetOfRedaction } from './redactions.ts'
import { localMember } from './remote-memberships.ts'
import { compareStates, createResolver, ownNumber } from './resolve-states.ts'
import { entriesIn, now, type RoomState, stateAfterRef, statesAfter, withEntry } from './state-at.ts'
import { changesOf, givenChanges, givenState } from './state-changes.ts'
import { countsAsUnread, type UnreadOutcome } from './unread.ts'

export type DecisionEngine = Pick<
  Context,
  | 'config'
  | 'database'
  | 'dictionaries'
  | 'events'
  | 'hotRooms'
  | 'domains'
  | 'clock'
  | 'random'
  | 'audiences'
  | 'threadAudiences'
>

/** What became of an event that arrived. */
export type Acceptance =
  | { readonly outcome: 'accepted' }
  /** Stored, but told to nobody: the room as it is now would not allow it. */
  | { readonly outcome: 'softFailed'; readonly reason: string }
  /** Never part of the state. Stored, so that what follows it can be understood. */
  | { readonly outcome: 'rejected'; readonly reason: string }
  /** It was here before, and is accepted. */
  | { readonly outcome: 'known' }
  /** It cannot be judged without these, so nothing was stored. */
  | { readonly outcome: 'missing'; readonly prevEvents: readonly EventId[]; readonly authEvents: readonly EventId[] }

export type AcceptOptions = {
  /**
   * The state before the event, as another server told it: all its events, which must be stored as outliers or otherwise.
   * Needed when predecessors are not known; those that are known count beside it.
   */
  readonly stateBefore?: readonly EventId[]
  /** We come back into the room: unless one of us has by now, the state told is all that counts. What was known here is old. */
  readonly restarts?: boolean
  /** Events that the room's policy server does not recommend, and why: told to nobody, but subject to the rules as all are. */
  readonly unwanted?: ReadonlyMap<EventId, string>
}

/** With a placement, the event is to be placed in the room as it is; without, nothing is to be written. */
export type Decision = { readonly acceptance: Acceptance; readonly placement?: Placement }

export const uncounted: UnreadOutcome = { notify: false, highlight: false, exceptions: [] }

/**
 * Decides about an event wherever it belongs in the room's graph. The room must be held, so that everything it is made of
 * is in the database.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", 4 to 7.
 */
export async function decideEvent(
  ctx: DecisionEngine,
  room: HotRoom,
  arrived: RoomEvent,
  options: AcceptOptions = {},
): Promise<Decision> {
  if (!isStorable(arrived)) return refused('The event has a type, sender or state key that cannot be stored')
  const cited = await loadCitedEvents(ctx, room, [arrived])
  const known = cited.get(arrived.eventId)
  if (known && known.room !== room.room) return refused('Another room has an event with this id')
  const promotes = known && (known.flags & EventFlags.outlier) !== 0 ? known : undefined
  if (known && !promotes) return { acceptance: toldAgain(known.flags) }

  const named = namedEvents(arrived, room, cited)
  if (named.missingAuth.length > 0 || (named.missingPrev.length > 0 && !options.stateBefore)) {
    return missing(named.missingPrev, named.missingAuth)
  }
  await Promise.all([
    loadForDrafts(ctx, room, [draftOf(arrived)]),
    ctx.hotRooms.load(room, authKeysOf(arrived, room.rules)),
  ])
  const event = await pruneIfRedacted(ctx, room, arrived, cited.redactionsOf(arrived.eventId))
  const ref = newRef(ctx, event.event, promotes?.nid)
  const lastChange = await lastChangeOf(ctx, room)
  const arriving = { cited, named, ref, promotes, redactedBy: event.redactedBy, lastChange }
  return new EventDecision(ctx, room, arriving).decide(options)
}

/** The position of the last change of the state of a room that is held. */
async function lastChangeOf(ctx: DecisionEngine, room: HotRoom): Promise<number> {
  const { version, lastChange } = room
  if (lastChange?.version === version) return lastChange.position
  const [row] = await ctx.database.read(lastStateChange, [room.room, now])
  const position = row?.from_position ?? 0
  if (room.version === version) room.lastChange = { version, position }
  return position
}

function refused(reason: string): Decision {
  return { acceptance: { outcome: 'rejected', reason } }
}

/** What was not accepted does not become so by being sent again. */
function toldAgain(flags: number): Acceptance {
  if ((flags & EventFlags.rejected) !== 0) return { outcome: 'rejected', reason: 'The event was rejected before' }
  if ((flags & EventFlags.softFailed) !== 0)
    return { outcome: 'softFailed', reason: 'The event was not allowed before' }
  return { outcome: 'known' }
}

function missing(prevEvents: readonly EventId[], authEvents: readonly EventId[]): Decision {
  return { acceptance: { outcome: 'missing', prevEvents, authEvents } }
}

/** The reference of an event whose kind and sender have numbers. */
export function newRef(ctx: Pick<Context, 'dictionaries'>, event: RoomEvent, nid = 0): EventRef {
  const { type, state_key: stateKey, sender } = event.pdu
  const kind = ctx.dictionaries.cachedKind(kindKey(type, stateKey))!
  return { nid, kind, senderNid: ctx.dictionaries.cachedUser(sender)!, event }
}

/** An event of another server, as what has to be in memory before one like it is appended. */
export function draftOf({ pdu }: RoomEvent): EventDraft {
  const { type, sender, state_key: stateKey, content } = pdu
  return { type, sender, ...(stateKey !== undefined && { stateKey }), content }
}

type Arriving = {
  readonly cited: CitedEvents
  readonly named: NamedEvents
  readonly ref: EventRef
  readonly promotes: StoredEvent | undefined
  readonly redactedBy: { readonly nid: number } | undefined
  /** The position of the last change of the state: from there on, all positions are one. */
  readonly lastChange: number
}

/** One event on its way through the checks. */
class EventDecision {
  readonly #ctx: DecisionEngine
  readonly #room: HotRoom
  readonly #arriving: Arriving
  readonly #event: RoomEvent
  readonly #resolve: ReturnType<typeof createResolver>
  readonly #auth: readonly CitedAuthEvent[]

  constructor(ctx: DecisionEngine, room: HotRoom, arriving: Arriving) {
    this.#ctx = ctx
    this.#room = room
    this.#arriving = arriving
    this.#event = arriving.ref.event
    const auth = arriving.named.auth.map((stored) => stored!)
    this.#auth = auth.map(({ event, flags }) => ({ event, rejected: (flags & EventFlags.rejected) !== 0 }))
    const own = { ref: arriving.ref, auth: auth.map(({ nid }) => nid) }
    this.#resolve = createResolver(ctx, room, own)
  }

  async decide({ stateBefore, restarts, unwanted }: AcceptOptions): Promise<Decision> {
    const given = stateBefore && (await givenState(this.#ctx, this.#room, stateBefore))
    if (given && 'missing' in given) return missing([], given.missing)
    const returns =
      restarts === true &&
      given !== undefined &&
      this.#room.extremities.length > 0 &&
      (await localMember(this.#ctx, this.#room)) === undefined
    const found = returns ? this.#normal(given.state) : await this.#stateBefore(given?.state)
    const isGuess = this.#room.partialState && !given
    let before = isGuess ? await this.#withCitedMembers(found) : found
    let verdict = await this.#check(before)
    if (isGuess && !verdict.allowed) {
      before = await this.#resolve([before, this.#asCited(before)])
      verdict = await this.#check(before)
    }
    if (!verdict.allowed) return this.#aside('rejected', verdict.reason, before)
    if (returns) return this.#accept(before, 'return')
    const current = await this.#checkNow(before, given !== undefined)
    if (!current.allowed) return this.#aside('softFailed', current.reason, before)
    const objection = unwanted?.get(this.#event.eventId)
    if (objection !== undefined) return this.#aside('softFailed', objection, before)
    return this.#accept(before, given !== undefined && this.#room.extremities.length === 0 ? 'first' : 'next')
  }

  /** The state after all predecessors, resolved. */
  async #stateBefore(given: RoomState | undefined): Promise<RoomState> {
    const inMemory = new Map(this.#room.extremities.map((ref) => [ref.nid, stateAfterRef(ref)]))
    const prev = this.#arriving.named.prev.filter((stored) => stored !== undefined)
    const states = prev.flatMap(({ nid }) => inMemory.get(nid) ?? [])
    const after = await statesAfter(
      this.#ctx,
      prev.filter(({ nid }) => !inMemory.get(nid)),
    )
    for (const state of after.values()) if (state.known) states.push(state.value)
    if (given) states.push(given)
    // Only the create event has no predecessors: there was nothing before.
    return states.length === 0
      ? { base: 0, entries: new Map() }
      : this.#resolve(states.map((state) => this.#normal(state)))
  }

  /** Of a room that was joined without its members, those are known whom an event cites: they were in it all along. */
  async #withCitedMembers(state: RoomState): Promise<RoomState> {
    const keys = authKeysOf(this.#event, this.#room.rules)
    const { unknown } = await entriesIn(this.#ctx, this.#room, state, keys)
    const lacking = new Set(unknown)
    const cited = this.#arriving.named.auth.filter((stored): stored is StoredEvent => {
      const { type, state_key: stateKey } = stored?.event.pdu ?? {}
      return type !== undefined && stateKey !== undefined && lacking.has(stateKeyOf(type, stateKey))
    })
    return withEntries(state, cited)
  }

  /**
   * As the event takes the state to be. While the members of a room are not known, what changed it may be what the room had
   * not allowed, and the event what it would allow.
   */
  #asCited(state: RoomState): RoomState {
    return withEntries(
      state,
      this.#arriving.named.auth.flatMap((stored) => stored ?? []),
    )
  }

  async #check(before: RoomState): Promise<Verdict> {
    const { rules, roomId } = this.#room
    const create = rules.createEventIsRoomId ? this.#arriving.cited.get(createEventIdOf(roomId))?.event : undefined
    const existing = this.#room.get('m.room.create', '')
    if (this.#event.pdu.type === 'm.room.create' && existing && existing.eventId !== this.#event.eventId) {
      return { allowed: false, reason: 'The room has been created before' }
    }
    const byAuthEvents = checkCitedAuth(this.#event, this.#auth, create, rules)
    if (!byAuthEvents.allowed) return byAuthEvents
    return checkAuth(this.#event, await authStateIn(this.#ctx, this.#room, before, this.#event, this.#auth), rules)
  }

  /**
   * Spec: "Soft failure". Where the state before was told to us, it is part of what the current state is resolved from: the
   * room may have gone on without us. While the members of a room are not known, what it is now is no measure: somebody may
   * have been put out by who had no right to. What it should not have let in then is found once they are known.
   */
  async #checkNow(before: RoomState, isTold: boolean): Promise<Verdict> {
    const { rules, extremities, partialState } = this.#room
    if (extremities.length === 0 || partialState) return { allowed: true }
    if (isTold) {
      const state = await this.#resolve([...(await this.#statesAfter(extremities)), before])
      return checkAuth(this.#event, await authStateIn(this.#ctx, this.#room, state, this.#event, this.#auth), rules)
    }
    return checkAuth(this.#event, this.#room, rules)
  }

  /** Stored, but no part of what the room is now. */
  async #aside(outcome: 'rejected' | 'softFailed', reason: string, before: RoomState): Promise<Decision> {
    const flag = outcome === 'rejected' ? EventFlags.rejected : EventFlags.softFailed
    const { named, cited } = this.#arriving
    const isAwaited = cited.isAwaited(this.#event.eventId)
    const behind = isAwaited ? (await behindRefused(this.#ctx, this.#room, named.prev)).missing : []
    const placement = {
      ...(await this.#placement(before, flag)),
      timeline: false,
      changes: [],
      unread: uncounted,
      redacts: undefined,
      extremities: this.#room.extremities,
      arrival: { ...this.#arrival([], undefined), missingBefore: [...new Set([...named.missingPrev, ...behind])] },
    }
    return { acceptance: { outcome, reason }, placement }
  }

  async #accept(before: RoomState, place: 'first' | 'return' | 'next'): Promise<Decision> {
    const isFirst = place === 'first'
    const room = this.#room
    const { ref, cited, named } = this.#arriving
    const { state_key: stateKey } = this.#event.pdu
    const ownNid = this.#arriving.promotes?.nid ?? ownNumber
    const after = stateKey === undefined ? before : withEntry(before, ref.kind, ownNid)
    if (!isFirst) ref.before = before
    const refused = await behindRefused(this.#ctx, room, named.prev)
    const extremities = place === 'return' ? [ref] : this.#extremities(refused.passed)
    const changes = isFirst
      ? await this.#firstChanges(before)
      : await changesOf(
          this.#ctx,
          room,
          {
            next: place === 'return' ? after : await this.#resolved(extremities, after),
            current: this.#current,
          },
          { ref, nid: ownNid },
        )
    const redaction = await targetOfRedaction(this.#ctx, room, this.#event, before, cited)
    const placement = {
      ...(isFirst ? this.#base(null, 0) : await this.#placement(before, 0)),
      timeline: true,
      changes,
      unread: countsAsUnread(this.#ctx, room, this.#event),
      redacts: redaction.target,
      extremities,
      arrival: this.#arrival([...new Set([...named.missingPrev, ...refused.missing])], redaction.awaits),
    }
    return { acceptance: { outcome: 'accepted' }, placement }
  }

  /** The whole state of a room that we come into holds from the position before the event. */
  async #firstChanges(before: RoomState): Promise<readonly StateChange[]> {
    const { ref } = this.#arriving
    const { type, state_key: stateKey } = this.#event.pdu
    const changes = await givenChanges(this.#ctx, before)
    if (stateKey === undefined) return changes
    await this.#ctx.dictionaries.internUsers(type === 'm.room.member' ? [stateKey as `@${string}`] : [])
    const from = changes.find((change) => change.kind === ref.kind)?.to
    return [...changes, { type, stateKey, kind: ref.kind, from, to: { ref, since: 0 } }]
  }

  async #resolved(extremities: readonly EventRef[], after: RoomState): Promise<RoomState> {
    const { ref } = this.#arriving
    const others = extremities.filter((one) => one !== ref)
    // An event that others follow already changes nothing about where the room is now.
    if (others.length === extremities.length && others.length === this.#room.extremities.length) return this.#current
    const states = await this.#statesAfter(others)
    return this.#resolve(others.length < extremities.length ? [...states, after] : states)
  }

  async #statesAfter(refs: readonly EventRef[]): Promise<RoomState[]> {
    const inMemory = refs.map(stateAfterRef)
    const others = refs.filter((_, index) => inMemory[index] === undefined)
    const stored = await this.#ctx.events.byNids(others.map(({ nid }) => nid))
    const states = await statesAfter(this.#ctx, stored)
    const loaded = [...states.values()].map((state) => {
      if (!state.known) throw new Error('the state after a forward extremity is not known')
      return state.value
    })
    return [...inMemory.filter((state) => state !== undefined), ...loaded].map((state) => this.#normal(state))
  }

  /** The forward extremities with this event. */
  #extremities(superseded: ReadonlySet<number>): readonly EventRef[] {
    const { ref, cited } = this.#arriving
    const remaining = this.#room.extremities.filter(({ nid }) => !superseded.has(nid))
    return cited.isAwaited(this.#event.eventId) && remaining.length > 0 ? remaining : [...remaining, ref]
  }

  async #placement(before: RoomState, flag: number) {
    const isCurrent = await isSame(this.#ctx, this.#room, before, this.#current)
    // The position of an outlier that gets no place in the timeline is not remembered, so its state has to say.
    const isImplied = isCurrent && (flag === 0 || !this.#arriving.promotes)
    return this.#base(isImplied ? null : await this.#ctx.hotRooms.stateDeltas.idOf(this.#room, before), flag)
  }

  get #current(): RoomState {
    return { base: this.#arriving.lastChange, entries: new Map() }
  }

  /** The same state for the same positions, so that equal ones look equal. */
  #normal(state: RoomState): RoomState {
    const { lastChange } = this.#arriving
    return state.base > lastChange ? { base: lastChange, entries: state.entries } : state
  }

  #base(stateDelta: number | null, flag: number) {
    const { ref, named } = this.#arriving
    return {
      ref,
      flags: flag | (this.#event.pdu.state_key === undefined ? 0 : EventFlags.state),
      stateDelta,
      prev: named.prev.map((stored) => stored && refOf(stored)),
      auth: named.auth.map((stored) => stored && refOf(stored)),
    }
  }

  #arrival(missingPrev: readonly EventId[], awaits: EventId | undefined): Arrival {
    const { promotes, redactedBy, cited } = this.#arriving
    const { eventId } = this.#event
    const hasRedactions = cited.redactionsOf(eventId).length > 0
    return { promotes, redactedBy, hasRedactions, awaits, missing: missingPrev, followers: cited.followersOf(eventId) }
  }
}

/** Whether a state is the resolved state of now. */
async function isSame(ctx: DecisionEngine, room: HotRoom, state: RoomState, current: RoomState): Promise<boolean> {
  const { values } = await compareStates(ctx, room.room, [state, current])
  const [one, other] = values
  return [...one!].every(([kind, nid]) => other!.get(kind) === nid)
}

function withEntries(state: RoomState, events: readonly StoredEvent[]): RoomState {
  return events.reduce((known, { kind, nid }) => withEntry(known, kind, nid), state)
}
