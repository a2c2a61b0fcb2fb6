import type { Context } from '../context.ts'
import { checkAuth } from '../matrix/auth-rules/index.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { redactionTarget } from '../matrix/redaction.ts'
import { EventFlags } from '../storage/events.ts'
import { authKeysOf, type CitedAuthEvent, checkCitedAuth, isStorable } from './check-arrival.ts'
import { type CitedEvents, loadCitedEvents } from './cited-events.ts'
import {
  type Acceptance,
  type AcceptOptions,
  type Decision,
  type DecisionEngine,
  decideEvent,
  draftOf,
  newRef,
  uncounted,
} from './decide-event.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { refOf } from './hot-rooms.ts'
import { loadForDrafts } from './local-event.ts'
import { type Placement, place } from './place-event.ts'
import { countsAsUnread } from './unread.ts'
import { writeOnce } from './write-room.ts'

export type { Acceptance, AcceptOptions } from './decide-event.ts'

export type AcceptEngine = DecisionEngine & Pick<Context, 'writer' | 'sentTransactions'>

const attempts = 20
/** Times an event that needs no holding lets those who hold the room go first. */
const patience = 3
/** Changes of the state by one event after which a room is better read again than kept. */
const mostChanges = 1000
const uniqueViolation = '23505'

/**
 * Takes an event of another server into its room, or not: the checks from 4 on, and everything that is stored for it. Resolves
 * when that is on disk. Format, signatures and hashes were checked before.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU".
 *
 * @throws MatrixError M_NOT_FOUND for a room that is not known here.
 */
export async function acceptEvent(
  ctx: AcceptEngine,
  event: RoomEvent,
  options: AcceptOptions = {},
): Promise<Acceptance> {
  const [acceptance] = await acceptEvents(ctx, event.roomId, [event], options)
  if (acceptance!.outcome === 'failed') throw acceptance!.error
  return acceptance as Acceptance
}

/** Nothing is known about the event, and the others are not concerned: the database refused it, or there is a bug. */
export type Failure = { readonly outcome: 'failed'; readonly error: unknown }

/**
 * Takes events of one room in, in the order given, which is best that of the graph. They share commits, where each waits only
 * for the decisions about those before it.
 *
 * @throws MatrixError M_NOT_FOUND for a room that is not known here; M_LIMIT_EXCEEDED when it is too busy. What is wrong
 * with one event is in its answer.
 */
export async function acceptEvents(
  ctx: AcceptEngine,
  roomId: RoomId,
  events: readonly RoomEvent[],
  options: AcceptOptions = {},
): Promise<readonly (Acceptance | Failure)[]> {
  const done = new Map<RoomEvent, Acceptance | Failure>()
  for (let attempt = 0; attempt < attempts; attempt++) {
    const left = events.filter((event) => !done.has(event))
    if (left.length === 0) return events.map((event) => done.get(event)!)
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    await acceptInto(ctx, room, left, options, done)
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

/** One try: what is not `done` afterwards has to be tried again on the room as it is then. */
async function acceptInto(
  ctx: AcceptEngine,
  room: HotRoom,
  events: readonly RoomEvent[],
  options: AcceptOptions,
  done: Map<RoomEvent, Acceptance | Failure>,
): Promise<void> {
  const run = new AcceptRun(ctx, room, options)
  await run.load(events)
  for (const event of events) {
    try {
      if (!(await run.take(event))) break
    } catch (error) {
      // What was read while another process wrote to the room may not fit together.
      await room.written()
      if (room.failed || !(await ctx.hotRooms.isCurrent(room))) break
      done.set(event, { outcome: 'failed', error })
    }
  }
  const isWritten = await run.settle(done)
  if (!isWritten || events.some((event) => !done.has(event))) ctx.hotRooms.drop(room)
}

type Taken = { event: RoomEvent; acceptance: Acceptance; written: Promise<boolean> }

class AcceptRun {
  readonly #ctx: AcceptEngine
  readonly #room: HotRoom
  readonly #options: AcceptOptions
  readonly #taken: Taken[] = []
  /** Events of this run, which the database may not have yet. */
  readonly #placed = new Map<EventId, { ref: EventRef; flags: number }>()
  #cited: CitedEvents | undefined

  constructor(ctx: AcceptEngine, room: HotRoom, options: AcceptOptions) {
    this.#ctx = ctx
    this.#room = room
    this.#options = options
  }

  async load(events: readonly RoomEvent[]): Promise<void> {
    this.#cited = await loadCitedEvents(this.#ctx, this.#room, events)
  }

  /** Decides about an event and hands it to the writer; false when the room moved on meanwhile. */
  async take(event: RoomEvent): Promise<boolean> {
    const room = this.#room
    for (let waited = 0; waited < patience && this.#isPlain(event); waited++) {
      if (room.isHeld) await room.released()
      await this.#prepare(event)
      // Without waiting from here on: what is true now is true of the room that the event is placed in.
      if (room.failed) return false
      if (!this.#isNext(event)) break
      if (room.isHeld) continue
      this.#write(event, this.#decideNext(event))
      return true
    }
    const release = await room.hold()
    try {
      const seen = room.version
      if (room.failed) return false
      const decision = await decideEvent(this.#ctx, room, event, this.#options)
      if (room.failed || room.version !== seen) return false
      const written = this.#write(event, decision)
      if ((decision.placement?.changes.length ?? 0) <= mostChanges) return true
      // More than memory keeps: until it is written, what memory lacks cannot be read anywhere.
      await written.catch(() => {})
      this.#ctx.hotRooms.drop(room)
      return false
    } finally {
      release()
    }
  }

  /** Waits for the writer. False when some events could not be written, mostly because the room moved on. */
  async settle(done: Map<RoomEvent, Acceptance | Failure>): Promise<boolean> {
    let isWritten = true
    for (const { event, acceptance, written } of this.#taken) {
      try {
        if (await written) done.set(event, acceptance)
        else isWritten = false
      } catch (error) {
        done.set(event, { outcome: 'failed', error })
        isWritten = false
      }
    }
    return isWritten
  }

  /** New here, and naming nothing that has to be looked for. */
  #isPlain(event: RoomEvent): boolean {
    const cited = this.#cited!
    const { eventId, authEvents, pdu } = event
    const { stateBefore, unwanted } = this.#options
    if (stateBefore || unwanted?.has(eventId) || event.prevEvents.length === 0 || !isStorable(event)) return false
    if (cited.get(eventId) || this.#room.unwritten.has(eventId) || this.#placed.has(eventId)) return false
    if (cited.isAwaited(eventId) || cited.redactionsOf(eventId).length > 0) return false
    if (pdu.type === 'm.room.create' || this.#room.extremities.length === 0) return false
    if (pdu.type === 'm.room.redaction' && redactionTarget(pdu, this.#room.rules) !== undefined) return false
    return authEvents.every((cites) => cited.get(cites) || this.#placed.has(cites))
  }

  async #prepare(event: RoomEvent): Promise<void> {
    await Promise.all([
      loadForDrafts(this.#ctx, this.#room, [draftOf(event)]),
      this.#ctx.hotRooms.load(this.#room, authKeysOf(event, this.#room.rules)),
    ])
  }

  /** Its predecessors are where the room is now, so the state before it is the one in memory. */
  #isNext(event: RoomEvent): boolean {
    const { extremities, partialState } = this.#room
    const prev = new Set(event.prevEvents)
    return (
      !partialState &&
      prev.size === event.prevEvents.length &&
      prev.size === extremities.length &&
      extremities.every((ref) => prev.has(ref.event.eventId)) &&
      !this.#room.unwritten.has(event.eventId)
    )
  }

  #decideNext(event: RoomEvent): Decision {
    const room = this.#room
    const auth = event.authEvents.map((eventId) => this.#authEvent(eventId))
    const create = room.get('m.room.create', '')
    const byAuthEvents = checkCitedAuth(event, auth, create, room.rules)
    const verdict = byAuthEvents.allowed ? checkAuth(event, room, room.rules) : byAuthEvents
    const ref: EventRef = { ...newRef(this.#ctx, event), before: 'implied' }
    const { type, state_key: stateKey } = event.pdu
    const common = {
      ref,
      prev: event.prevEvents.map((eventId) => room.extremities.find((one) => one.event.eventId === eventId)),
      auth: auth.map((one) => one.ref),
      stateDelta: null,
      redacts: undefined,
      arrival: { missing: [] },
    }
    const flags = stateKey === undefined ? 0 : EventFlags.state
    if (!verdict.allowed) {
      const aside = { timeline: false, changes: [], unread: uncounted, extremities: room.extremities }
      const placement = { ...common, ...aside, flags: flags | EventFlags.rejected }
      return { acceptance: { outcome: 'rejected', reason: verdict.reason }, placement }
    }
    const to = { ref, since: 0 }
    const changes =
      stateKey === undefined ? [] : [{ type, stateKey, kind: ref.kind, from: room.entry(type, stateKey), to }]
    const unread = countsAsUnread(this.#ctx, room, event)
    const placement = { ...common, flags, timeline: true, changes, unread, extremities: [ref] }
    return { acceptance: { outcome: 'accepted' }, placement }
  }

  #authEvent(eventId: EventId): CitedAuthEvent & { ref: EventRef } {
    const placed = this.#placed.get(eventId)
    const stored = this.#cited!.get(eventId)
    const ref = placed?.ref ?? refOf(stored!)
    const flags = placed?.flags ?? stored!.flags
    return { event: ref.event, ref, rejected: (flags & EventFlags.rejected) !== 0 }
  }

  #write(event: RoomEvent, { acceptance, placement }: Decision): Promise<boolean> {
    const written = placement ? this.#writePlaced(placement) : Promise.resolve(true)
    // Whoever waits for it does so later; until then it must not count as unhandled.
    written.catch(() => {})
    this.#taken.push({ event, acceptance, written })
    return written
  }

  async #writePlaced(placement: Placement): Promise<boolean> {
    const { ref, flags } = placement
    this.#placed.set(ref.event.eventId, { ref, flags })
    const room = this.#room
    try {
      const appended = await writeOnce(this.#ctx, room, { append: () => [place(room, placement)] })
      return appended !== undefined
    } catch (error) {
      // The same event came by another way at the same time, and was faster.
      if ((error as { code?: string }).code === uniqueViolation) return false
      throw error
    }
  }
}
