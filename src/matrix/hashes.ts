import { hash } from 'node:crypto'
import { decodeBase64, encodeBase64, unpadded } from './base64.ts'
import { canonicalJson } from './canonical-json.ts'
import type { Pdu } from './event.ts'
import type { EventId } from './ids.ts'
import type { JsonObject } from './json.ts'
import { carryLooseNumbers } from './loose-numbers.ts'
import { redact } from './redaction.ts'
import type { RoomRules } from './room-versions.ts'

/**
 * SHA-256, in unpadded base64, of the whole event but its `unsigned`, `signatures` and `hashes`.
 *
 * Spec: Server-Server API, "Calculating the content hash for an event" (v1.19).
 */
export function contentHash(pdu: Pdu): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...hashed } = pdu
  return sha256(canonicalJson(carryLooseNumbers(pdu, hashed)))
}

/** Whether the event is as its sender made it. If not, what we have is at best its redacted form. */
export function hasValidContentHash(pdu: Pdu): boolean {
  const claimed = decodeBase64(pdu.hashes.sha256)
  return claimed !== undefined && encodeBase64(claimed) === contentHash(pdu)
}

/**
 * SHA-256, in unpadded base64, of what a redaction leaves of the event, without signatures.
 *
 * Spec: Server-Server API, "Calculating the reference hash for an event" (v1.19).
 */
export function referenceHash(pdu: Pdu, rules: RoomRules): string {
  return sha256(signedText(pdu, rules))
}

/**
 * The id of an event: its own field in room versions 1 and 2, later its reference hash.
 *
 * Spec: room versions, "Event IDs" (v1.19).
 */
export function eventIdOf(pdu: Pdu, rules: RoomRules): EventId {
  return rules.eventFormat === 'v1' ? (pdu.event_id as EventId) : hashedEventId(signedText(pdu, rules), rules)
}

/** What servers sign, and the reference hash covers: the canonical JSON of the redacted event without signatures. */
export function signedText(pdu: Pdu, rules: RoomRules): string {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = redact(pdu, rules)
  return canonicalJson(carryLooseNumbers(pdu, signed) as JsonObject)
}

/** The event id, from room version 3 on, of an event of which `signedText` is what servers sign. */
export function hashedEventId(signedText: string, rules: RoomRules): EventId {
  return `$${rules.eventFormat === 'v3' ? sha256(signedText) : hash('sha256', signedText, 'base64url')}`
}

/** SHA-256 of the text's UTF-8, in unpadded base64. */
export function sha256(text: string): string {
  return unpadded(hash('sha256', text, 'base64'))
}
