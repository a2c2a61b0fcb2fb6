import { LRUCache } from 'lru-cache'
import type { AuthState } from '../matrix/auth-rules/index.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { upTo } from '../storage/caches.ts'
import { kindKey } from '../storage/dictionaries.ts'
import type { RoomRow } from '../storage/rooms.ts'
import type { StateDelta } from '../storage/state-deltas.ts'

/** An event that a room holds on to. Its number is 0 until the batch it is written with has its positions. */
export type EventRef = {
  nid: number
  readonly kind: number
  readonly senderNid: number
  readonly event: RoomEvent
  /**
   * The state before it, where this process decided about it; `implied`: the resolved state at the position before its
   * number.
   */
  before?: StateDelta | 'implied'
}

/** The event at a key of the current state, and the position since which it is there (0 until it is written). */
export type StateEntry = { readonly ref: EventRef; since: number }

/** Entries of a room's state that stay in memory; those of members who are not heard of for long make room. */
const entriesPerRoom = 5000

/**
 * A room as the next writer of this process sees it: with everything that is written or on its way to the database.
 * Changed only by `append-event.ts` and by what other processes tell; never used again once `failed`.
 */
export class HotRoom implements AuthState {
  readonly room: number
  readonly roomId: RoomId
  readonly rules: RoomRules
  /** The optimistic version: rises by one with each unit of work. */
  version: number
  extremities: readonly EventRef[]
  depth: number
  notifyCount: number
  highlightCount: number
  joinedMembers: number
  invitedMembers: number
  partialState: boolean
  /** Set when a unit could not be committed: everything built on top of it is void. */
  failed = false
  /** The position of the last change of the state, as of a version: nothing else vouches for it. */
  lastChange: { readonly version: number; readonly position: number } | undefined
  /** Events that have their place here and are on their way to the database. */
  readonly unwritten = new Map<EventId, EventRef>()
  /** Units handed to the writer and not yet ended. */
  #pending = 0
  #whenWritten: (() => void)[] = []
  #holders = 0
  #lane: Promise<void> = Promise.resolve()
  /** Bounded by size, since `max` sets 110 KB aside, and most rooms have a dozen entries. */
  readonly #state = new LRUCache<string, { entry: StateEntry | undefined }>(upTo(entriesPerRoom))
  /** A room that is being created: what it does not know does not exist. */
  readonly #complete: boolean

  constructor(
    row: Omit<RoomRow, 'extremities'>,
    extremities: readonly EventRef[],
    rules: RoomRules,
    options: { complete?: boolean } = {},
  ) {
    this.#complete = options.complete ?? false
    this.room = row.room
    this.roomId = row.room_id
    this.rules = rules
    this.version = row.version
    this.extremities = extremities
    this.depth = row.depth
    this.notifyCount = row.notify_count
    this.highlightCount = row.highlight_count
    this.joinedMembers = row.joined_members
    this.invitedMembers = row.invited_members
    this.partialState = row.partial_state
  }

  /** Whether somebody holds the room, or waits for it: nobody else may append to it now. */
  get isHeld(): boolean {
    return this.#holders > 0
  }

  /**
   * The right to append to the room alone, in the order of asking, once all that is on its way is in the database. Until
   * the answer is called the room does not move, unless another process moves it or it fails.
   */
  async hold(): Promise<() => void> {
    const before = this.#lane
    let leave = (): void => {}
    this.#lane = new Promise((resolve) => {
      leave = resolve
    })
    this.#holders++
    await before
    await this.written()
    return () => {
      this.#holders--
      leave()
    }
  }

  /** Resolves when those who hold the room or wait for it now have let it go. */
  released(): Promise<void> {
    return this.#lane
  }

  /** Resolves when nothing is on its way to the database. */
  written(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenWritten.push(resolve))
  }

  /** A unit was handed to the writer; the answer is to be called when it has ended, well or not. */
  beginWrite(refs: readonly EventRef[]): () => void {
    this.#pending++
    for (const ref of refs) this.unwritten.set(ref.event.eventId, ref)
    return () => {
      for (const ref of refs) this.unwritten.delete(ref.event.eventId)
      if (--this.#pending > 0) return
      const waiting = this.#whenWritten
      this.#whenWritten = []
      for (const resolve of waiting) resolve()
    }
  }

  /** Whether the entry, or its absence, is in memory. */
  knows(type: string, stateKey: string): boolean {
    return this.#complete || this.#state.has(kindKey(type, stateKey))
  }

  /** The entry of a key that was loaded before. */
  entry(type: string, stateKey: string): StateEntry | undefined {
    return this.#state.get(kindKey(type, stateKey))?.entry
  }

  get(type: string, stateKey: string): RoomEvent | undefined {
    return this.entry(type, stateKey)?.ref.event
  }

  /** The entries in memory. */
  *known(): Generator<StateEntry> {
    for (const { entry } of this.#state.values()) if (entry) yield entry
  }

  set(type: string, stateKey: string, entry: StateEntry | undefined): void {
    this.#state.set(kindKey(type, stateKey), { entry })
  }
}
