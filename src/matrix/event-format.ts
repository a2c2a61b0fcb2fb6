import { canonicalJson } from './canonical-json.ts'
import { knownEvent, type Pdu, type RoomEvent } from './event.ts'
import { eventIdOf } from './hashes.ts'
import {
  fitsAnId,
  fitsAStateKey,
  parseEventId,
  parseRoomId,
  parseServerName,
  parseUserId,
  serverNameOf,
} from './ids.ts'
import type { Json, JsonObject } from './json.ts'
import { MAX_AUTH_EVENTS, MAX_DEPTH, MAX_EVENT_BYTES, MAX_ID_BYTES, MAX_PREV_EVENTS } from './limits.ts'
import { looseNumbersIn } from './loose-numbers.ts'
import type { RoomRules } from './room-versions.ts'
import { hasCanonicalNumbers } from './strict-json.ts'

export { type BuiltEvent, buildEvent, type EventDraft } from './build-event.ts'

/**
 * Whether what another server sent is an event at all, and if so its id and edges. Nothing is copied: the event keeps
 * every key it came with. Signatures, hashes and authorisation are checked elsewhere.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", 1; room versions, "Event format" (v1.19).
 */
export function parseEvent(json: JsonObject, rules: RoomRules): { event: RoomEvent } | { error: string } {
  const error = formatError(json, rules)
  if (error !== undefined) return { error }
  const pdu = json as unknown as Pdu
  const eventId = eventIdOf(pdu, rules)
  return { event: knownEvent(pdu, eventId, rules) }
}

function formatError(json: JsonObject, rules: RoomRules): string | undefined {
  if (!isString(json.type) || !fitsAKey(json.type, rules)) return 'type is not a string of at most 255 bytes'
  if (!isString(json.sender) || parseUserId(json.sender) === undefined) return 'sender is not a user id'
  if (
    Object.hasOwn(json, 'state_key') &&
    (!isString(json.state_key) || (!fitsAStateKey(json.state_key, rules) && !fitsAKey(json.state_key, rules)))
  ) {
    return 'state_key is not a string, or too long'
  }
  if (!isObject(json.content)) return 'content is not an object'
  if (!isInteger(json, 'origin_server_ts')) return 'origin_server_ts is not an integer'
  return (
    roomIdError(json, rules) ??
    graphError(json, rules) ??
    proofError(json) ??
    redactsError(json, rules) ??
    (Object.hasOwn(json, 'unsigned') && !isObject(json.unsigned) ? 'unsigned is not an object' : undefined) ??
    (rules.strictIntegers && !hasCanonicalNumbers(json) ? 'a number is not an integer within ±(2⁵³−1)' : undefined) ??
    (isTooLarge(json) ? `larger than ${MAX_EVENT_BYTES} bytes` : undefined)
  )
}

function fitsAKey(text: string, rules: RoomRules): boolean {
  return fitsAnId(text) || (!rules.keysInBytes && text.length <= 2 * MAX_ID_BYTES && [...text].length <= MAX_ID_BYTES)
}

function roomIdError(json: JsonObject, rules: RoomRules): string | undefined {
  if (rules.createEventIsRoomId && json.type === 'm.room.create') {
    return Object.hasOwn(json, 'room_id') ? 'the create event has a room_id' : undefined
  }
  const roomId = isString(json.room_id) ? parseRoomId(json.room_id) : undefined
  if (roomId === undefined) return 'room_id is not a room id'
  const hasDomain = serverNameOf(roomId) !== undefined
  return hasDomain === rules.createEventIsRoomId ? 'room_id is not of this room version' : undefined
}

function graphError(json: JsonObject, rules: RoomRules): string | undefined {
  const depth = json.depth as number
  if (!isInteger(json, 'depth') || depth < 0 || depth > MAX_DEPTH) {
    return 'depth is not an integer from 0 to 2⁵³−1'
  }
  if (!areEdges(json.prev_events, MAX_PREV_EVENTS, rules))
    return `prev_events are not at most ${MAX_PREV_EVENTS} events`
  if (!areEdges(json.auth_events, MAX_AUTH_EVENTS, rules))
    return `auth_events are not at most ${MAX_AUTH_EVENTS} events`
  return rules.eventFormat === 'v1' && !isEventIdWithDomain(json.event_id)
    ? 'event_id is not an event id with a domain'
    : undefined
}

/** Written as one: `1.0` is none. */
function isInteger(json: JsonObject, key: string): boolean {
  return Number.isSafeInteger(json[key]) && !looseNumbersIn(json)?.has(key)
}

function isEventIdWithDomain(value: Json | undefined): boolean {
  const eventId = isString(value) ? parseEventId(value) : undefined
  const server = eventId === undefined ? undefined : serverNameOf(eventId)
  return server !== undefined && parseServerName(server) !== undefined
}

function areEdges(edges: Json | undefined, most: number, rules: RoomRules): boolean {
  if (!Array.isArray(edges) || edges.length > most) return false
  const isId = (id: Json | undefined) => isString(id) && parseEventId(id) !== undefined
  if (rules.eventFormat !== 'v1') return edges.every(isId)
  return edges.every((edge: Json) => Array.isArray(edge) && edge.length === 2 && isId(edge[0]) && isObject(edge[1]))
}

function proofError(json: JsonObject): string | undefined {
  if (!isObject(json.hashes) || !isString(json.hashes.sha256)) return 'hashes have no sha256'
  const signatures = json.signatures
  const areSignatures =
    isObject(signatures) &&
    Object.values(signatures).every((ofServer) => isObject(ofServer) && Object.values(ofServer).every(isString))
  return areSignatures ? undefined : 'signatures are not by server and key'
}

function redactsError(json: JsonObject, rules: RoomRules): string | undefined {
  if (rules.redactsIn !== 'event' || json.type !== 'm.room.redaction' || json.redacts === undefined) return undefined
  return isString(json.redacts) ? undefined : 'redacts is not a string'
}

function isTooLarge(json: JsonObject): boolean {
  return Buffer.byteLength(canonicalJson(json)) > MAX_EVENT_BYTES
}

function isString(value: Json | undefined): value is string {
  return typeof value === 'string'
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
