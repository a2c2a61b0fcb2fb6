import type { EventId, RoomId, UserId } from './ids.ts'
import type { Json, JsonObject } from './json.ts'
import type { RoomRules } from './room-versions.ts'

/**
 * A persistent data unit as it travels between servers: every key it came with, known or not.
 *
 * Spec: Server-Server API, "PDUs", and the page of each room version (v1.19).
 */
export type Pdu = {
  readonly type: string
  readonly sender: UserId
  /** Absent on the create event of room version 12 and later. */
  readonly room_id?: RoomId
  readonly state_key?: string
  readonly content: JsonObject
  readonly origin_server_ts: number
  readonly depth: number
  /** Event ids; in room versions 1 and 2 pairs of an event id and its hashes. */
  readonly prev_events: readonly Json[]
  readonly auth_events: readonly Json[]
  readonly hashes: { readonly sha256: string }
  readonly signatures: { readonly [server: string]: { readonly [keyId: string]: string } }
  readonly unsigned?: JsonObject
  readonly redacts?: EventId
  /** Makes the event a sticky one: `duration_ms`. Spec: MSC4354. */
  readonly msc4354_sticky?: Json
  /** Only in room versions 1 and 2. */
  readonly event_id?: EventId
}

/**
 * An event whose id, room and edges are known, whatever format its room version writes them in. The pure core decides
 * about these; `pdu` is never changed.
 */
export type RoomEvent = {
  readonly eventId: EventId
  /** The room, also for a version 12 create event, whose PDU does not name it. */
  readonly roomId: RoomId
  readonly prevEvents: readonly EventId[]
  /** As listed in the PDU: from room version 12 on the create event is implied and not among them. */
  readonly authEvents: readonly EventId[]
  readonly pdu: Pdu
}

/** The event of a PDU that was checked before, for instance when it was stored. */
export function knownEvent(pdu: Pdu, eventId: EventId, rules: RoomRules): RoomEvent {
  return {
    eventId,
    roomId: pdu.room_id ?? roomIdOfCreate(eventId),
    prevEvents: edgeIds(pdu.prev_events, rules),
    authEvents: edgeIds(pdu.auth_events, rules),
    pdu,
  }
}

/** From room version 12 on. Spec: room version 12, "Event format". */
export function roomIdOfCreate(createEventId: EventId): RoomId {
  return `!${createEventId.slice(1)}`
}

/** From room version 12 on. Spec: room version 12, "Event format". */
export function createEventIdOf(roomId: RoomId): EventId {
  return `$${roomId.slice(1)}`
}

function edgeIds(edges: readonly Json[], rules: RoomRules): readonly EventId[] {
  if (rules.eventFormat !== 'v1') return edges as readonly EventId[]
  return (edges as readonly (readonly [EventId, JsonObject])[]).map(([eventId]) => eventId)
}
