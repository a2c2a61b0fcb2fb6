import { canonicalJson } from './canonical-json.ts'
import { MatrixError } from './errors.ts'
import { knownEvent, type Pdu, type RoomEvent } from './event.ts'
import { hashedEventId, sha256 } from './hashes.ts'
import { type EventId, fitsAnId, fitsAStateKey, type RoomId, type ServerName, type UserId } from './ids.ts'
import type { JsonObject } from './json.ts'
import { MAX_DEPTH, MAX_EVENT_BYTES } from './limits.ts'
import { redactContent } from './redaction.ts'
import type { RoomRules } from './room-versions.ts'
import { type SigningKey, signText } from './signatures.ts'
import { hasCanonicalNumbers } from './strict-json.ts'

export type EventDraft = {
  readonly type: string
  readonly sender: UserId
  /** None for the create event from room version 12 on. */
  readonly roomId?: RoomId
  readonly stateKey?: string
  readonly content: JsonObject
  /** Milliseconds. */
  readonly originServerTs: number
  readonly depth: number
  readonly prevEvents: readonly EventId[]
  readonly authEvents: readonly EventId[]
  /** What an `m.room.redaction` redacts; it goes where the room version wants it. */
  readonly redacts?: EventId
  /** Milliseconds for which it is sticky. Spec: MSC4354. */
  readonly stickyMs?: number
  /** Room versions 1 and 2 only: what makes the event id unique on its server. */
  readonly eventIdLocalpart?: string
  /** Room versions 1 and 2 only: the reference hashes, in unpadded base64, of all events cited. */
  readonly hashesOf?: ReadonlyMap<EventId, string>
}

export type BuiltEvent = RoomEvent & {
  /** The canonical JSON of the PDU. */
  readonly json: string
}

/**
 * Makes the event of a draft: hashes it, signs it with the key of its sender's server, and gives it its id.
 *
 * Content hash, signature and the event itself are three encodings that differ in a few members, so each member is
 * encoded once and the three are joined from them.
 *
 * Errors: `M_TOO_LARGE` beyond the limits on size, `M_BAD_JSON` for content canonical JSON cannot hold.
 * Spec: Server-Server API, "Adding hashes and signatures to outgoing events" (v1.19).
 */
export function buildEvent(draft: EventDraft, rules: RoomRules, serverName: ServerName, key: SigningKey): BuiltEvent {
  if (!fitsAnId(draft.type)) throw new MatrixError('M_TOO_LARGE', 'The event type is longer than 255 bytes')
  if (draft.stateKey !== undefined && !fitsAStateKey(draft.stateKey, rules)) {
    throw new MatrixError('M_TOO_LARGE', 'The state key is too long')
  }
  if (!hasCanonicalNumbers(draft.content)) {
    throw new MatrixError('M_BAD_JSON', 'A number is not an integer within ±(2⁵³−1)')
  }
  const unsigned = unsignedPdu(draft, rules, serverName)
  const members = new Map<string, string>()
  for (const name of MEMBERS_IN_ORDER) {
    const value = unsigned[name]
    if (value !== undefined) members.set(name, `"${name}":${canonicalJson(value)}`)
  }
  const hashes = { sha256: sha256(join(members)) }
  members.set('hashes', `"hashes":${JSON.stringify(hashes)}`)

  const redacted = new Map(members)
  redacted.set('content', `"content":${canonicalJson(redactContent(draft.type, unsigned.content, rules))}`)
  redacted.delete('redacts')
  redacted.delete('msc4354_sticky')
  const signed = join(redacted)
  const signatures = { [serverName]: { [key.keyId]: signText(signed, key) } }
  members.set('signatures', `"signatures":${JSON.stringify(signatures)}`)

  const json = join(members)
  if (Buffer.byteLength(json) > MAX_EVENT_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `The event is larger than ${MAX_EVENT_BYTES} bytes`)
  }
  const pdu: Pdu = { ...unsigned, hashes, signatures }
  const eventId = pdu.event_id ?? hashedEventId(signed, rules)
  return { ...knownEvent(pdu, eventId, rules), json }
}

/** All that an event built here can have, in the order of canonical JSON. */
const MEMBERS_IN_ORDER = [
  'auth_events',
  'content',
  'depth',
  'event_id',
  'hashes',
  'msc4354_sticky',
  'origin_server_ts',
  'prev_events',
  'redacts',
  'room_id',
  'sender',
  'signatures',
  'state_key',
  'type',
] as const

type UnsignedPdu = Omit<Pdu, 'hashes' | 'signatures'> & { readonly hashes?: undefined; readonly signatures?: undefined }

function unsignedPdu(draft: EventDraft, rules: RoomRules, serverName: ServerName): UnsignedPdu {
  const { redacts, stateKey, roomId, eventIdLocalpart } = draft
  if ((roomId === undefined) !== (rules.createEventIsRoomId && draft.type === 'm.room.create')) {
    throw new Error('Exactly the create event of a room whose id it is has no room id')
  }
  if (eventIdLocalpart === undefined && rules.eventFormat === 'v1') {
    throw new Error(`Room version ${rules.version} needs to be given event ids`)
  }
  const inContent = redacts !== undefined && rules.redactsIn === 'content'
  return {
    auth_events: edges(draft.authEvents, draft, rules),
    content: inContent ? { ...draft.content, redacts } : draft.content,
    depth: Math.min(draft.depth, MAX_DEPTH),
    ...(rules.eventFormat === 'v1' ? { event_id: `$${eventIdLocalpart}:${serverName}` as const } : undefined),
    ...(draft.stickyMs !== undefined ? { msc4354_sticky: { duration_ms: draft.stickyMs } } : undefined),
    origin_server_ts: draft.originServerTs,
    prev_events: edges(draft.prevEvents, draft, rules),
    ...(redacts !== undefined && !inContent ? { redacts } : undefined),
    ...(roomId !== undefined ? { room_id: roomId } : undefined),
    sender: draft.sender,
    ...(stateKey !== undefined ? { state_key: stateKey } : undefined),
    type: draft.type,
  }
}

function edges(eventIds: readonly EventId[], draft: EventDraft, rules: RoomRules): Pdu['prev_events'] {
  if (rules.eventFormat !== 'v1') return eventIds
  return eventIds.map((eventId) => {
    const hash = draft.hashesOf?.get(eventId)
    if (hash === undefined) throw new Error(`No hash of ${eventId}, which room version ${rules.version} needs`)
    return [eventId, { sha256: hash }]
  })
}

function join(members: ReadonlyMap<string, string>): string {
  let text = ''
  for (const name of MEMBERS_IN_ORDER) {
    const member = members.get(name)
    if (member !== undefined) text += text === '' ? `{${member}` : `,${member}`
  }
  return `${text}}`
}
