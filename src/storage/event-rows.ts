import { jsonText } from '../matrix/canonical-json.ts'
import type { Pdu, RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { carryLooseNumbers } from '../matrix/loose-numbers.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import { parseJson } from '../matrix/strict-json.ts'
import { decodeEdges, decodeProof, encodeEdges, encodeProof, eventIdBytes, eventIdText, restOf } from './event-codec.ts'
import { insertInto, operation } from './operation.ts'

/** Events as rows: how they are written, and how they come back. */

export type EventRow = {
  event_nid: number
  room: number
  timeline: number | null
  event_id: Buffer
  kind: number
  sender: number
  depth: number
  origin_server_ts: number
  flags: number
  notify_index: number
  highlight_index: number
  state_delta: number | null
  edges: Buffer | null
  proof: Buffer | null
  content: string
  rest: string | null
}

export const insertEvents = insertInto<EventRow>('events', {
  event_nid: 'int8',
  room: 'int4',
  timeline: 'int8',
  event_id: 'bytea',
  kind: 'int4',
  sender: 'int4',
  depth: 'int8',
  origin_server_ts: 'int8',
  flags: 'int2',
  notify_index: 'int4',
  highlight_index: 'int4',
  state_delta: 'int8',
  edges: 'bytea',
  proof: 'bytea',
  content: 'text',
  rest: 'text',
})

/** Prunes a redacted event where it lies: what was redacted is gone from the database too. */
export const redactEvents = operation<{ event_nid: number; content: string; rest: string | null; redacted_by: number }>(
  'redact events',
  { event_nid: 'int8', content: 'text', rest: 'text', redacted_by: 'int8' },
  `update events set content = r.content, rest = r.rest, redacted_by = r.redacted_by
   from $rows where events.event_nid = r.event_nid`,
)

export const insertMissingEvents = insertInto<{ room: number; event_id: Buffer; referenced_by: number }>(
  'missing_events',
  { room: 'int4', event_id: 'bytea', referenced_by: 'int8' },
  { tail: 'on conflict do nothing' },
)

/**
 * The row of an event.
 *
 * @param place.prev The numbers of its prev_events, undefined where one is not known here.
 * @param place.auth Likewise of its auth_events.
 */
export function eventRow(
  event: RoomEvent,
  rules: RoomRules,
  place: {
    nid: number
    room: number
    timeline: number | null
    kind: number
    sender: number
    flags: number
    notifyIndex: number
    highlightIndex: number
    stateDelta: number | null
    prev: readonly (number | undefined)[]
    auth: readonly (number | undefined)[]
    signer: string
  },
): EventRow {
  const known = (nid: number | undefined): nid is number => nid !== undefined
  const prev = place.prev.filter(known)
  const auth = place.auth.filter(known)
  const complete = prev.length === place.prev.length && auth.length === place.auth.length
  const proof = encodeProof(event.pdu, place.signer)
  return {
    event_nid: place.nid,
    room: place.room,
    timeline: place.timeline,
    event_id: eventIdBytes(event.eventId),
    kind: place.kind,
    sender: place.sender,
    depth: event.pdu.depth,
    origin_server_ts: event.pdu.origin_server_ts,
    flags: place.flags,
    notify_index: place.notifyIndex,
    highlight_index: place.highlightIndex,
    state_delta: place.stateDelta,
    edges: encodeEdges(place.nid, prev, auth),
    proof: proof ?? null,
    content: jsonText(event.pdu.content),
    // Room versions 1 and 2 write hashes beside the ids, which numbers cannot bring back.
    rest: restOf(event.pdu, { edges: complete && rules.eventFormat !== 'v1', proof: proof !== undefined }),
  }
}

/** The event of a row. `ids` has those of the events that it names; without them it is read without its edges. */
export function decodeEvent(
  row: Omit<EventRow, 'edges' | 'proof'> & Partial<Pick<EventRow, 'edges' | 'proof'>> & { room_id: RoomId },
  rules: RoomRules,
  kind: { type: string; stateKey: string | undefined },
  sender: UserId,
  ids: Map<number, Buffer> | undefined,
): RoomEvent {
  const eventId = eventIdText(row.event_id, rules.eventFormat)
  const text = (nid: number): EventId => eventIdText(ids!.get(nid)!, rules.eventFormat)
  const edges = ids && decodeEdges(row.event_nid, row.edges ?? Buffer.alloc(1))
  const rest = row.rest === null ? {} : parseStored(row.rest, rules)
  const listed = (key: 'prev_events' | 'auth_events', nids: number[] | undefined): readonly Json[] =>
    (rest[key] as readonly Json[] | undefined) ?? nids?.map(text) ?? []
  const prev = listed('prev_events', edges?.prev)
  const auth = listed('auth_events', edges?.auth)
  const namesRoom = !(rules.createEventIsRoomId && kind.type === 'm.room.create' && kind.stateKey === '')
  const signer = sender.slice(sender.indexOf(':') + 1)
  const pdu = carryLooseNumbers(rest, {
    ...rest,
    type: kind.type,
    sender,
    ...(namesRoom && { room_id: row.room_id }),
    ...(kind.stateKey !== undefined && { state_key: kind.stateKey }),
    ...(rules.eventFormat === 'v1' && { event_id: eventId }),
    content: parseStored(row.content, rules),
    origin_server_ts: row.origin_server_ts,
    depth: row.depth,
    prev_events: prev,
    auth_events: auth,
    ...(row.proof && decodeProof(row.proof, signer)),
  } as Pdu)
  const idsOfEdges = (list: readonly Json[]): EventId[] =>
    list.map((entry) => (Array.isArray(entry) ? entry[0] : entry) as EventId)
  return { eventId, roomId: row.room_id, prevEvents: idsOfEdges(prev), authEvents: idsOfEdges(auth), pdu }
}

/** Old room versions have numbers that JavaScript would read as others. */
function parseStored(text: string, rules: RoomRules): JsonObject {
  return (rules.strictIntegers ? JSON.parse(text) : parseJson(text, { integers: 'any' })) as JsonObject
}
