import { checkAuth, type Verdict } from '../matrix/auth-rules/index.ts'
import { createEventIdOf, type RoomEvent } from '../matrix/event.ts'
import type { EventId } from '../matrix/ids.ts'
import { roomEventsAfter } from '../storage/event-graph.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import { authStateIn, type CitedAuthEvent, checkCitedAuth } from './check-arrival.ts'
import { type CitedEvents, loadCitedEvents } from './cited-events.ts'
import type { DecisionEngine } from './decide-event.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { refOf } from './hot-rooms.ts'
import type { StateChange } from './place-event.ts'
import { compareStates, createResolver } from './resolve-states.ts'
import { now, type RoomState, type StateLookup, statesAfter, statesBefore, withEntry } from './state-at.ts'
import { changesOf } from './state-changes.ts'

/** What is to be written once events were judged differently than before. */
export type Correction = {
  /** How they are stored from now on. */
  readonly events: readonly Judged[]
  /** What the state of the room is instead. */
  readonly changes: readonly StateChange[]
  readonly extremities: readonly EventRef[]
}

export type Judged = {
  readonly nid: number
  readonly timeline: number | null
  readonly flags: number
  readonly stateDelta: number | null
  /** It is no part of the room any more. */
  readonly isWithdrawn: boolean
}

/** Events that are read at a time. */
const atOnce = 200

/**
 * Judges the events again that came while the members of a room were not known: with the whole state before each. The room must
 * be held, and the state before our join must be in the database.
 *
 * @param join Our join, after which they came.
 * @returns undefined when all of it was right, as it is where no server lies.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", 4 and 5 (v1.19).
 */
export async function judgeAgain(
  ctx: DecisionEngine,
  room: HotRoom,
  join: Pick<StoredEvent, 'event'> & { readonly timeline: number },
): Promise<Correction | undefined> {
  const judgement = new SecondJudgement(ctx, room, join)
  for (let after = join.timeline; ; ) {
    const rows = await ctx.database.read(roomEventsAfter, [room.room, after, atOnce])
    const events = await ctx.events.byNids(
      rows.map((row) => row.event_nid),
      { edges: true },
    )
    const byNid = new Map(events.map((event) => [event.nid, event]))
    await judgement.take(rows.flatMap((row) => byNid.get(row.event_nid) ?? []))
    if (rows.length < atOnce) return judgement.correction()
    after = rows.at(-1)!.place
  }
}

/** An event that is not what it was thought to be, or comes after another state: the state after it. */
type Affected = { readonly after: RoomState; readonly isRejected: boolean }

class SecondJudgement {
  readonly #ctx: DecisionEngine
  readonly #room: HotRoom
  readonly #resolve: ReturnType<typeof createResolver>
  readonly #affected = new Map<EventId, Affected>()
  readonly #judged: Judged[] = []
  /** Events that are accepted now, and that no accepted event follows so far. */
  readonly #gained = new Map<EventId, StoredEvent>()

  constructor(ctx: DecisionEngine, room: HotRoom, join: Parameters<typeof judgeAgain>[2]) {
    this.#ctx = ctx
    this.#room = room
    this.#resolve = createResolver(ctx, room)
    // The state after it has the members by now, which it had not when it was stored.
    const after = { base: join.timeline, entries: new Map() }
    this.#affected.set(join.event.eventId, { after, isRejected: false })
  }

  /** Events in the order in which they came. */
  async take(events: readonly StoredEvent[]): Promise<void> {
    const cited = await loadCitedEvents(
      this.#ctx,
      this.#room,
      events.map(({ event }) => event),
    )
    const states = await statesBefore(this.#ctx, events)
    for (const stored of events) await this.#judge(stored, states.get(stored.nid)!, cited)
  }

  async correction(): Promise<Correction | undefined> {
    if (this.#judged.length === 0) return undefined
    const extremities = await this.#extremities()
    const next = await this.#resolve(await this.#statesAfter(extremities))
    const changes = await changesOf(this.#ctx, this.#room, { next, current: { base: now, entries: new Map() } })
    return { events: this.#judged, changes, extremities: extremities.map(refOf) }
  }

  async #judge(stored: StoredEvent, thought: StateLookup<RoomState>, cited: CitedEvents): Promise<void> {
    // Not being liked by the room as it was then is no word about the event itself.
    if (!thought.known || (stored.flags & EventFlags.softFailed) !== 0) return
    // What was thought took the members that the event cites for members.
    const before = (await this.#stateBefore(stored.event, cited)) ?? thought.value
    const isRejected = !(await this.#check(stored.event, before, cited)).allowed
    if (!isRejected) for (const eventId of stored.event.prevEvents) this.#gained.delete(eventId)
    const wasRejected = (stored.flags & EventFlags.rejected) !== 0
    if (isRejected === wasRejected && (await this.#areEqual(before, thought.value))) return
    if (wasRejected && !isRejected) this.#gained.set(stored.event.eventId, stored)
    const changesState = (stored.flags & EventFlags.state) !== 0 && !isRejected
    const after = changesState ? withEntry(before, stored.kind, stored.nid) : before
    this.#affected.set(stored.event.eventId, { after, isRejected })
    this.#judged.push(await this.#judgedAs(stored, before, isRejected))
  }

  async #check(event: RoomEvent, before: RoomState, cited: CitedEvents): Promise<Verdict> {
    const { rules, roomId } = this.#room
    const auth = event.authEvents.map((eventId) => this.#authEvent(eventId, cited))
    if (auth.some((one) => one === undefined)) return { allowed: false, reason: 'An auth event is not known' }
    const create = rules.createEventIsRoomId ? cited.get(createEventIdOf(roomId))?.event : undefined
    const byAuthEvents = checkCitedAuth(event, auth as CitedAuthEvent[], create, rules)
    if (!byAuthEvents.allowed) return byAuthEvents
    // What the event cites stands for nothing now: who is not in the state is not in the room.
    return checkAuth(event, await authStateIn(this.#ctx, this.#room, before, event, []), rules)
  }

  #authEvent(eventId: EventId, cited: CitedEvents): CitedAuthEvent | undefined {
    const stored = cited.get(eventId)
    if (!stored) return undefined
    const isRejected = this.#affected.get(eventId)?.isRejected ?? (stored.flags & EventFlags.rejected) !== 0
    return { event: stored.event, rejected: isRejected }
  }

  /** Undefined where that after one of its predecessors is not known. */
  async #stateBefore({ prevEvents }: RoomEvent, cited: CitedEvents): Promise<RoomState | undefined> {
    const prev = prevEvents.flatMap((eventId) => cited.get(eventId) ?? [])
    const states = await this.#statesAfter(prev.filter(({ room }) => room === this.#room.room))
    return states.length > 0 && states.length === prevEvents.length ? this.#resolve(states) : undefined
  }

  /** Of the events for which it is known. */
  async #statesAfter(events: readonly StoredEvent[]): Promise<RoomState[]> {
    const affected = events.flatMap(({ event }) => this.#affected.get(event.eventId)?.after ?? [])
    const others = events.filter(({ event }) => !this.#affected.has(event.eventId))
    const after = await statesAfter(this.#ctx, others)
    return [...affected, ...[...after.values()].flatMap((state) => (state.known ? state.value : []))]
  }

  async #areEqual(one: RoomState, other: RoomState): Promise<boolean> {
    const { values } = await compareStates(this.#ctx, this.#room.room, [one, other])
    return [...values[0]!].every(([kind, nid]) => values[1]!.get(kind) === nid)
  }

  async #judgedAs(stored: StoredEvent, before: RoomState, isRejected: boolean): Promise<Judged> {
    const { nid, flags } = stored
    const isShown = !isRejected && (flags & EventFlags.softFailed) === 0
    const timeline = isShown ? (stored.timeline ?? nid) : null
    const atItsPlace = { base: (timeline ?? nid) - 1, entries: new Map() }
    const isImplied = await this.#areEqual(before, atItsPlace)
    return {
      nid,
      timeline,
      flags: isRejected ? flags | EventFlags.rejected : flags & ~EventFlags.rejected,
      stateDelta: isImplied ? null : await this.#ctx.hotRooms.stateDeltas.idOf(this.#room, before),
      isWithdrawn: isRejected && stored.timeline !== null,
    }
  }

  /** Where the room ends: without what is no part of it, with what is. One too many does no harm. */
  async #extremities(): Promise<StoredEvent[]> {
    const kept = new Map<number, StoredEvent>()
    let open = await this.#ctx.events.byNids(
      this.#room.extremities.map(({ nid }) => nid),
      { edges: true },
    )
    for (const seen = new Set<number>(); open.length > 0; ) {
      const passed: StoredEvent[] = []
      for (const stored of open) {
        if (seen.has(stored.nid)) continue
        seen.add(stored.nid)
        if (this.#affected.get(stored.event.eventId)?.isRejected) passed.push(stored)
        else kept.set(stored.nid, stored)
      }
      const before = await this.#ctx.events.byIds(
        passed.flatMap(({ event }) => event.prevEvents),
        { edges: true },
      )
      open = before.filter(({ room, flags }) => room === this.#room.room && (flags & EventFlags.outlier) === 0)
    }
    for (const stored of this.#gained.values()) kept.set(stored.nid, stored)
    return [...kept.values()]
  }
}
