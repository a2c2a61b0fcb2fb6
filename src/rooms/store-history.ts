import { checkAuth, type Verdict } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import { createEventIdOf, type RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { MAX_MISSING_EVENTS } from '../matrix/limits.ts'
import { redact, redactionTarget } from '../matrix/redaction.ts'
import { oldestPosition, positionBelow } from '../storage/event-graph.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { Acceptance, AcceptEngine } from './accept-event.ts'
import { authStateIn, type CitedAuthEvent, checkCitedAuth, isStorable } from './check-arrival.ts'
import { type CitedEvents, loadCitedEvents } from './cited-events.ts'
import { draftOf, newRef, uncounted } from './decide-event.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { refOf } from './hot-rooms.ts'
import { loadForDrafts } from './local-event.ts'
import { type Appended, type Placement, place } from './place-event.ts'
import { isEntitled, pruneIfRedacted, targetOfRedaction } from './redactions.ts'
import { createResolver } from './resolve-states.ts'
import { type RoomState, statesAfter, statesBefore, withEntry } from './state-at.ts'
import { givenState } from './state-changes.ts'
import { inOrder, storeOutliers } from './store-outliers.ts'
import { roomForHistory, writeOnce } from './write-room.ts'

export type HistoryOptions = {
  /** The position of the event whose gap is filled; without one the history goes before everything. */
  readonly before?: number
  /** The states before some of the events, as another server told them; their events must be stored. */
  readonly statesBefore?: ReadonlyMap<EventId, readonly EventId[]>
  /** Events that the room's policy server does not recommend, and why: they get no place in the timeline. */
  readonly unwanted?: ReadonlyMap<EventId, string>
}

const attempts = 20
/** Of what is free in a gap, a gap that stays in the middle of what fills it gets one part in so many. */
const shareOfGap = 16

/**
 * Stores events from before what a room has, newest first: each gets a position in its timeline lower than the one before,
 * in a gap or below everything. What a gap has no room for is left out. Nobody is told and nothing is counted. Where the state before an event can be found it is checked against it;
 * otherwise against its auth events only, which must be stored or among the events.
 *
 * Spec: Server-Server API, "Backfilling and retrieving missing events".
 *
 * @returns what became of each, in the order given.
 * @throws MatrixError M_NOT_FOUND for a room that is not known here.
 */
export async function storeHistory(
  ctx: AcceptEngine,
  roomId: RoomId,
  events: readonly RoomEvent[],
  options: HistoryOptions = {},
): Promise<readonly Acceptance[]> {
  // States name events by numbers, so state events need theirs before the states are known.
  await storeOutliers(
    ctx,
    roomId,
    events.filter(({ pdu }) => pdu.state_key !== undefined),
  )
  for (let attempt = 0; attempt < attempts; attempt++) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    const release = await room.hold()
    try {
      if (!room.failed) {
        const history = new History(ctx, room, events, await loadCitedEvents(ctx, room, events))
        const outcomes = await history.store(options)
        if (outcomes) return outcomes
      }
    } finally {
      release()
    }
    ctx.hotRooms.drop(room)
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

/** Positions that nothing has: from above `below` to under `position`. */
type Free = { readonly position: number; readonly below: number }

type Found = {
  readonly event: RoomEvent
  readonly ref: EventRef
  readonly promotes: StoredEvent | undefined
  readonly before: RoomState | undefined
  readonly verdict: Verdict
  /** Why it is told to nobody although it is allowed. */
  readonly objection: string | undefined
  redactedBy: { readonly nid: number } | undefined
}

class History {
  readonly #ctx: AcceptEngine
  readonly #room: HotRoom
  /** Newest first. */
  readonly #events: readonly RoomEvent[]
  readonly #cited: CitedEvents
  readonly #outcomes = new Map<EventId, Acceptance>()
  readonly #found = new Map<EventId, Found>()
  /** The states after events, given or found. */
  readonly #after = new Map<EventId, RoomState>()

  constructor(ctx: AcceptEngine, room: HotRoom, events: readonly RoomEvent[], cited: CitedEvents) {
    this.#ctx = ctx
    this.#room = room
    this.#events = events
    this.#cited = cited
  }

  /** Undefined when the room moved on. */
  async store(options: HistoryOptions): Promise<readonly Acceptance[] | undefined> {
    const free = await this.#freePositions(options.before)
    const wanted = this.#events.filter((event) => this.#isWanted(event))
    const fitting = wanted.slice(0, free.position - free.below - 1)
    for (const { eventId } of wanted.slice(fitting.length)) this.#refuse(eventId, 'The gap has no room left')
    const oldestFirst = inOrder(fitting.reverse(), (event) => event.prevEvents)
    await loadForDrafts(this.#ctx, this.#room, oldestFirst.map(draftOf))
    const implied = await this.#impliedStates(oldestFirst)
    for (const event of oldestFirst) await this.#find(event, options, implied.get(event.eventId))
    await this.#applyRedactions()
    const placements = await this.#placements(free)
    if (this.#room.failed) return undefined
    const room = this.#room
    const append = (): Appended[] =>
      placements.map((placement) => place(room, { ...placement, extremities: room.extremities }))
    if (!(await writeOnce(this.#ctx, room, { append }))) return undefined
    return this.#events.map(({ eventId }) => this.#outcomes.get(eventId)!)
  }

  #isWanted(event: RoomEvent): boolean {
    const known = this.#cited.get(event.eventId)
    if (known?.room === this.#room.room && (known.flags & EventFlags.outlier) === 0) {
      this.#outcomes.set(event.eventId, { outcome: 'known' })
      return false
    }
    if (isStorable(event) && event.roomId === this.#room.roomId && (!known || known.room === this.#room.room))
      return true
    this.#refuse(event.eventId, 'The event cannot be stored in this room')
    return false
  }

  #refuse(eventId: EventId, reason: string): void {
    this.#outcomes.set(eventId, { outcome: 'rejected', reason })
  }

  /** Backwards: what is no state event changes nothing, so the state before it is that before the only one that follows it. */
  async #impliedStates(oldestFirst: readonly RoomEvent[]): Promise<Map<EventId, RoomState>> {
    const followers = oldestFirst.flatMap(({ eventId }) => this.#cited.followersOf(eventId))
    const stored = await this.#ctx.events.byNids(followers, { edges: true })
    const states = await statesBefore(this.#ctx, stored)
    const before = new Map<EventId, RoomState>()
    const imply = ({ prevEvents }: RoomEvent, state: RoomState | undefined): void => {
      if (state && prevEvents.length === 1) this.#after.set(prevEvents[0]!, state)
    }
    for (const one of stored) {
      const state = states.get(one.nid)!
      imply(one.event, state.known ? state.value : undefined)
    }
    for (const event of oldestFirst.toReversed()) {
      const after = this.#after.get(event.eventId)
      if (!after || event.pdu.state_key !== undefined) continue
      before.set(event.eventId, after)
      imply(event, after)
    }
    return before
  }

  async #find(event: RoomEvent, options: HistoryOptions, implied: RoomState | undefined): Promise<void> {
    const auth = event.authEvents.map((eventId) => this.#citedAuth(eventId))
    const missing = event.authEvents.filter((_, index) => auth[index] === undefined)
    if (missing.length > 0) {
      this.#outcomes.set(event.eventId, { outcome: 'missing', prevEvents: [], authEvents: missing })
      return
    }
    const cited = auth.map((one) => one!)
    const promotes = this.#cited.get(event.eventId)
    const before = (await this.#stateBefore(event, options)) ?? implied
    const verdict = await this.#check(event, cited, before)
    const pruned = await pruneIfRedacted(this.#ctx, this.#room, event, this.#cited.redactionsOf(event.eventId))
    const ref = newRef(this.#ctx, pruned.event, promotes?.nid)
    const objection = options.unwanted?.get(event.eventId)
    const found = { event: pruned.event, ref, promotes, before, verdict, objection, redactedBy: pruned.redactedBy }
    this.#found.set(event.eventId, found)
    if (before) {
      const changes = verdict.allowed && event.pdu.state_key !== undefined
      this.#after.set(event.eventId, changes ? withEntry(before, ref.kind, ref.nid) : before)
    }
  }

  #citedAuth(eventId: EventId): (CitedAuthEvent & { ref: EventRef }) | undefined {
    const found = this.#found.get(eventId)
    if (found) return { event: found.event, rejected: !found.verdict.allowed, ref: found.ref }
    const stored = this.#cited.get(eventId)
    return stored && { event: stored.event, rejected: (stored.flags & EventFlags.rejected) !== 0, ref: refOf(stored) }
  }

  /** From what another server told, or from all predecessors, if the states after them are known. */
  async #stateBefore(event: RoomEvent, options: HistoryOptions): Promise<RoomState | undefined> {
    const told = options.statesBefore?.get(event.eventId)
    const given = told && (await givenState(this.#ctx, this.#room, told))
    if (given && 'state' in given) return given.state
    if (event.prevEvents.length === 0) return { base: 0, entries: new Map() }
    const stored = event.prevEvents.map((eventId) => this.#cited.get(eventId)).filter((one) => one !== undefined)
    const after = await statesAfter(
      this.#ctx,
      stored.filter(({ room }) => room === this.#room.room),
    )
    const nidOf = new Map(stored.map((one) => [one.event.eventId, one.nid]))
    const states = event.prevEvents.map((eventId) => {
      const state = after.get(nidOf.get(eventId) ?? 0)
      return this.#after.get(eventId) ?? (state?.known ? state.value : undefined)
    })
    if (states.includes(undefined)) return undefined
    return createResolver(this.#ctx, this.#room)(states.map((state) => state!))
  }

  async #check(event: RoomEvent, cited: readonly CitedAuthEvent[], before: RoomState | undefined): Promise<Verdict> {
    const { rules, roomId } = this.#room
    const create = rules.createEventIsRoomId ? this.#citedAuth(createEventIdOf(roomId))?.event : undefined
    const byAuthEvents = checkCitedAuth(event, cited, create, rules)
    if (!byAuthEvents.allowed || !before) return byAuthEvents
    return checkAuth(event, await authStateIn(this.#ctx, this.#room, before, event, cited), rules)
  }

  /** Redactions that come together with what they redact. */
  async #applyRedactions(): Promise<void> {
    for (const redaction of this.#found.values()) {
      const { event, before, verdict } = redaction
      if (event.pdu.type !== 'm.room.redaction' || !verdict.allowed || redaction.objection !== undefined) continue
      const target = this.#found.get(redactionTarget(event.pdu, this.#room.rules) ?? '$')
      if (!target || target.redactedBy) continue
      if (!(await isEntitled(this.#ctx, this.#room, event, before, target.event))) continue
      const pruned = { ...target.event, pdu: redact(target.event.pdu, this.#room.rules) }
      const ref = { ...target.ref, event: pruned }
      this.#found.set(pruned.eventId, { ...target, event: pruned, ref, redactedBy: redaction.ref })
    }
  }

  /** Below an event that still has a gap before it some of what is free stays so: what fills that has no other place. */
  async #placements(free: Free): Promise<Omit<Placement, 'extremities'>[]> {
    let { position } = free
    const shown = [...this.#found.values()].filter((found) => outcomeOf(found).outcome === 'accepted')
    let spare = position - free.below - 1 - shown.length
    const placements: Omit<Placement, 'extremities'>[] = []
    for (const { eventId } of this.#events) {
      const found = this.#found.get(eventId)
      if (!found) continue
      const outcome = outcomeOf(found)
      this.#outcomes.set(eventId, outcome)
      const isShown = outcome.outcome === 'accepted'
      if (isShown) position--
      const placement = await this.#placement(found, isShown ? position : undefined)
      placements.push(placement)
      if (!isShown || !placement.arrival?.missing.length) continue
      const kept = Math.min(roomForHistory, Math.floor(spare / shareOfGap))
      position -= kept
      spare -= kept
    }
    return placements
  }

  /** New positions go down from `position`, which is taken, and stay above `below`. */
  async #freePositions(before: number | undefined): Promise<Free> {
    const { database } = this.#ctx
    const { room } = this.#room
    if (before !== undefined) {
      const [lower] = await database.read(positionBelow, [room, before])
      if (lower && lower.timeline !== null) return { position: before, below: lower.timeline }
    }
    const [oldest] = await database.read(oldestPosition, [room])
    return { position: Math.min(0, oldest?.timeline ?? 0), below: Number.MIN_SAFE_INTEGER }
  }

  async #placement(found: Found, position: number | undefined): Promise<Omit<Placement, 'extremities'>> {
    const { event, ref, promotes, before, redactedBy } = found
    const isState = event.pdu.state_key !== undefined
    const redaction =
      position === undefined ? {} : await targetOfRedaction(this.#ctx, this.#room, event, before, this.#cited)
    const aside = found.verdict.allowed ? EventFlags.softFailed : EventFlags.rejected
    const isTogether = redaction.awaits !== undefined && this.#found.has(redaction.awaits)
    return {
      ref,
      flags: (isState ? EventFlags.state : 0) | (position === undefined ? aside : EventFlags.backfilled),
      timeline: false,
      ...(position !== undefined && { historyPosition: position }),
      prev: event.prevEvents.map((eventId) => this.#prev(eventId)),
      auth: event.authEvents.map((eventId) => this.#citedAuth(eventId)?.ref),
      stateDelta: await this.#stateDelta(before, position),
      changes: [],
      unread: uncounted,
      redacts: redaction.target,
      arrival: {
        promotes,
        redactedBy,
        hasRedactions: this.#cited.redactionsOf(event.eventId).length > 0,
        followers: this.#cited.followersOf(event.eventId),
        awaits: isTogether ? undefined : redaction.awaits,
        missing: position === undefined ? [] : this.#lackingBefore(event),
        ...(position === undefined && { missingBefore: this.#lackingBefore(event) }),
      },
    }
  }

  /** An event without a place is understood by its state alone, so an unknown one becomes the empty state. */
  async #stateDelta(before: RoomState | undefined, position: number | undefined): Promise<number | null> {
    const state = before ?? (position === undefined ? { base: 0, entries: new Map() } : undefined)
    return state ? this.#ctx.hotRooms.stateDeltas.idOf(this.#room, state) : null
  }

  #prev(eventId: EventId): EventRef | undefined {
    const found = this.#found.get(eventId)
    if (found) return found.ref
    const stored = this.#cited.get(eventId)
    return stored?.room === this.#room.room ? refOf(stored) : undefined
  }

  /** What comes before an event and is not here, also by way of those that get no place in the timeline. */
  #lackingBefore(event: RoomEvent): readonly EventId[] {
    const lacking = new Set<EventId>()
    const seen = new Set<EventId>()
    for (let open = [...event.prevEvents]; open.length > 0; ) {
      const eventId = open.pop()!
      if (seen.has(eventId)) continue
      seen.add(eventId)
      const found = this.#found.get(eventId)
      if (found && outcomeOf(found).outcome !== 'accepted') open.push(...found.event.prevEvents)
      else if (!found && !this.#isPlaced(eventId)) lacking.add(eventId)
    }
    return [...lacking].slice(0, MAX_MISSING_EVENTS)
  }

  #isPlaced(eventId: EventId): boolean {
    const stored = this.#cited.get(eventId)
    return stored?.room === this.#room.room && (stored.flags & EventFlags.outlier) === 0
  }
}

function outcomeOf({ verdict, objection }: Found): Acceptance {
  if (!verdict.allowed) return { outcome: 'rejected', reason: verdict.reason }
  return objection === undefined ? { outcome: 'accepted' } : { outcome: 'softFailed', reason: objection }
}
