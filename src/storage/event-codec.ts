import { jsonText } from '../matrix/canonical-json.ts'
import type { Pdu } from '../matrix/event.ts'
import type { EventId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { carryLooseNumbers } from '../matrix/loose-numbers.ts'

/**
 * How the parts of a PDU that are ids, hashes and signatures become binary columns, a third of their text. What has
 * not the usual form stays as text in `rest`, so every PDU comes back exactly as it came.
 */

/** The event id as stored: the 32 bytes of its hash, or the text of a room version 1 or 2 id. */
export function eventIdBytes(eventId: EventId): Buffer {
  const text = eventId.slice(1)
  if (text.length === hashLength && !text.includes(':')) {
    const bytes = Buffer.from(text, 'base64')
    if (bytes.length === 32) return bytes
  }
  return Buffer.from(text, 'utf8')
}

/** How event ids of a room version are written. */
export type EventIdFormat = 'v1' | 'v3' | 'v4'

export function eventIdText(bytes: Buffer, format: EventIdFormat): EventId {
  if (format === 'v1') return `$${bytes.toString('utf8')}`
  if (format === 'v4') return `$${bytes.toString('base64url')}`
  return `$${unpadded(bytes)}`
}

const hashLength = 43

function unpadded(bytes: Buffer): string {
  const text = bytes.toString('base64')
  const end = text.indexOf('=')
  return end < 0 ? text : text.slice(0, end)
}

/** The bytes of unpadded base64, or undefined when the text is not the one that those bytes would give. */
function exactBytes(text: string, length: number): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === length && unpadded(bytes) === text ? bytes : undefined
}

/**
 * The edges as numbers relative to the event: the count of prev_events, their distances, then the auth_events.
 * Distances are zigzag varints, mostly one or two bytes.
 */
export function encodeEdges(eventNid: number, prev: readonly number[], auth: readonly number[]): Buffer {
  const bytes: number[] = []
  pushVarint(bytes, prev.length)
  for (const nid of prev) pushVarint(bytes, zigzag(eventNid - nid))
  for (const nid of auth) pushVarint(bytes, zigzag(eventNid - nid))
  return Buffer.from(bytes)
}

export function decodeEdges(eventNid: number, bytes: Buffer): { prev: number[]; auth: number[] } {
  const reader = { bytes, offset: 0 }
  const prev: number[] = []
  const auth: number[] = []
  for (let left = readVarint(reader); left > 0; left--) prev.push(eventNid - unzigzag(readVarint(reader)))
  while (reader.offset < bytes.length) auth.push(eventNid - unzigzag(readVarint(reader)))
  return { prev, auth }
}

// Numbers here go up to 2⁵⁴, past what bit operators can do.
const zigzag = (value: number): number => (value >= 0 ? value * 2 : -value * 2 - 1)
const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2)

function pushVarint(bytes: number[], value: number): void {
  while (value >= 128) {
    bytes.push((value % 128) + 128)
    value = Math.floor(value / 128)
  }
  bytes.push(value)
}

function readVarint(reader: { bytes: Buffer; offset: number }): number {
  let value = 0
  let scale = 1
  for (;;) {
    const byte = reader.bytes[reader.offset++]
    if (byte === undefined) throw new Error('the edges of a stored event are cut short')
    value += (byte % 128) * scale
    if (byte < 128) return value
    scale *= 128
  }
}

const sha256Length = 32
const ed25519Length = 64

/** What key ids begin with. Those of rows that were written first are stored whole; the rest of one has no colon. */
const algorithm = 'ed25519:'

/**
 * The content hash, the signature and what follows the algorithm in its key id: when there is one signature only, by `signer`, the
 * server of the sender. Otherwise undefined.
 */
export function encodeProof(pdu: Pdu, signer: string): Buffer | undefined {
  const servers = Object.keys(pdu.signatures)
  if (servers.length !== 1 || servers[0] !== signer || Object.keys(pdu.hashes).length !== 1) return undefined
  const keys = Object.entries(pdu.signatures[signer]!)
  if (keys.length !== 1) return undefined
  const [keyId, signatureText] = keys[0]!
  const version = keyId.slice(algorithm.length)
  if (!keyId.startsWith(algorithm) || version.includes(':')) return undefined
  const hash = exactBytes(pdu.hashes.sha256, sha256Length)
  const signature = exactBytes(signatureText, ed25519Length)
  return hash && signature && Buffer.concat([hash, signature, Buffer.from(version, 'utf8')])
}

export function decodeProof(proof: Buffer, signer: string): Pick<Pdu, 'hashes' | 'signatures'> {
  const signatureEnd = sha256Length + ed25519Length
  const stored = proof.toString('utf8', signatureEnd)
  const keyId = stored.includes(':') ? stored : algorithm + stored
  return {
    hashes: { sha256: unpadded(proof.subarray(0, sha256Length)) },
    signatures: { [signer]: { [keyId]: unpadded(proof.subarray(sha256Length, signatureEnd)) } },
  }
}

const columnKeys = new Set(['type', 'state_key', 'sender', 'depth', 'origin_server_ts', 'content', 'room_id'])

/**
 * What of a PDU the columns do not hold, as JSON text, or null when nothing is left. `unsigned` is not stored: what a
 * remote put there is not signed, and our own is made for each reader. An `event_id` is kept, although from room version 3
 * on none should be there: where a server has put one, the reference hash covers it.
 */
export function restOf(pdu: Pdu, inColumns: { edges: boolean; proof: boolean }): string | null {
  const rest: Record<string, Json> = Object.create(null)
  let any = false
  for (const [key, value] of Object.entries(pdu as unknown as JsonObject)) {
    if (columnKeys.has(key) || key === 'unsigned') continue
    if (inColumns.edges && (key === 'prev_events' || key === 'auth_events')) continue
    if (inColumns.proof && (key === 'hashes' || key === 'signatures')) continue
    rest[key] = value
    any = true
  }
  return any ? jsonText(carryLooseNumbers(pdu, rest)) : null
}
