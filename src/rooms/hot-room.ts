import { LRUCache } from 'lru-cache'
import type { AuthState } from '../matrix/auth-rules/index.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { kindKey } from '../storage/dictionaries.ts'
import type { RoomRow } from '../storage/rooms.ts'

/** An event that a room holds on to. Its number is 0 until the batch it is written with has its positions. */
export type EventRef = {
  nid: number
  readonly kind: number
  readonly senderNid: number
  readonly event: RoomEvent
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
  /** Units handed to the writer and not yet ended. */
  pending = 0
  readonly #state = new LRUCache<string, { entry: StateEntry | undefined }>({ max: entriesPerRoom })
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
