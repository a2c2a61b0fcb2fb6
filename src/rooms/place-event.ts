import type { EventId } from '../matrix/ids.ts'
import { redact } from '../matrix/redaction.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { EventRef, HotRoom, StateEntry } from './hot-room.ts'
import type { UnreadOutcome } from './unread.ts'

/** A change of the resolved state that an event brings about. `to` undefined: the key is gone. */
export type StateChange = {
  readonly type: string
  readonly stateKey: string
  readonly kind: number
  readonly from: StateEntry | undefined
  readonly to: StateEntry | undefined
  /** It holds before the event already: the state of a room that we come into. */
  readonly isGiven?: true
}

/** What is written with an event because it came from another server, in whatever order. */
export type Arrival = {
  /** The same event, so far known because others name it. */
  readonly promotes?: StoredEvent | undefined
  /** Its redaction, which came first or comes with it; the event is pruned already. */
  readonly redactedBy?: { readonly nid: number } | undefined
  /** Redactions came before it, whether they have an effect or not. */
  readonly hasRedactions?: boolean
  /** What it redacts, when that is not known here yet. */
  readonly awaits?: EventId | undefined
  /** Predecessors that nobody has sent us. */
  readonly missing: readonly EventId[]
  /** The event has no place in the timeline: what its followers lack now is what came before it, as far as that is not here. */
  readonly missingBefore?: readonly EventId[]
  /** Numbers of events that came before it and name it as a predecessor. */
  readonly followers?: readonly number[]
}

/** An event that has been given its place in a hot room, and everything that must be written with it. */
export type Appended = {
  readonly ref: EventRef
  readonly room: HotRoom
  readonly flags: number
  /** Whether it is shown in the timeline as new. */
  readonly timeline: boolean
  /** Its position when it belongs to history that was asked for afterwards. */
  readonly historyPosition?: number
  /** In the order of the PDU; undefined where one is not known here. */
  readonly prev: readonly (EventRef | undefined)[]
  readonly auth: readonly (EventRef | undefined)[]
  readonly stateDelta: number | null
  readonly changes: readonly StateChange[]
  readonly unread: UnreadOutcome
  /** What it redacts, when it is entitled to. */
  readonly redacts: StoredEvent | undefined
  /** Absent for events made here. */
  readonly arrival?: Arrival
  /** The room as this event leaves it. */
  readonly after: {
    readonly version: number
    readonly extremities: readonly EventRef[]
    readonly depth: number
    readonly notifyCount: number
    readonly highlightCount: number
    readonly joinedMembers: number
    readonly partialState: boolean
    readonly invitedMembers: number
  }
}

/** Whether a part of the timeline is missing before an event. */
export function isAfterGap({ timeline, historyPosition, arrival }: Appended): boolean {
  return (timeline || historyPosition !== undefined) && (arrival?.missing.length ?? 0) > 0
}

export type Placement = Omit<Appended, 'after' | 'room'> & { readonly extremities: readonly EventRef[] }

/** Gives an event its place in the hot room. The one spot where a hot room changes. */
export function place(room: HotRoom, event: Placement): Appended {
  const isFollowed = room.lastChange !== undefined && room.lastChange.version >= room.version
  room.lastChange =
    isFollowed && event.changes.length === 0
      ? { version: room.version + 1, position: room.lastChange!.position }
      : undefined
  for (const change of event.changes) {
    if (change.type === 'm.room.member') countMembers(room, change)
    room.set(change.type, change.stateKey, change.to)
  }
  if (event.redacts) pruneEntry(room, event.redacts)
  room.extremities = event.extremities
  if (event.timeline) {
    room.depth = Math.max(room.depth, event.ref.event.pdu.depth)
    room.notifyCount += event.unread.notify ? 1 : 0
    room.highlightCount += event.unread.highlight ? 1 : 0
  }
  const after = {
    // The unit that writes the event raises the version by one.
    version: room.version + 1,
    extremities: event.extremities,
    depth: room.depth,
    notifyCount: room.notifyCount,
    highlightCount: room.highlightCount,
    joinedMembers: room.joinedMembers,
    partialState: room.partialState,
    invitedMembers: room.invitedMembers,
  }
  return { ...event, room, after }
}

function countMembers(room: HotRoom, change: StateChange): void {
  const before = change.from?.ref.event.pdu.content.membership
  const now = change.to?.ref.event.pdu.content.membership
  room.joinedMembers += Number(now === 'join') - Number(before === 'join')
  room.invitedMembers += Number(now === 'invite') - Number(before === 'invite')
}

/** What was redacted must be gone from memory too. */
function pruneEntry(room: HotRoom, target: StoredEvent): void {
  const { type, state_key: stateKey } = target.event.pdu
  const entry = stateKey === undefined ? undefined : room.entry(type, stateKey)
  if (entry?.ref.nid !== target.nid) return
  const event = { ...entry.ref.event, pdu: redact(entry.ref.event.pdu, room.rules) }
  room.set(type, stateKey!, { ref: { ...entry.ref, event }, since: entry.since })
}
