import type { Pdu, RoomEvent } from './event.ts'
import { type EventId, parseEventId, serverNameOf } from './ids.ts'
import type { Json, JsonObject } from './json.ts'
import { carryLooseNumbers } from './loose-numbers.ts'
import type { PowerLevels } from './power-levels.ts'
import type { RoomRules } from './room-versions.ts'

/**
 * The event as all servers must know it, stripped of what a redaction takes away. Signatures, event ids and reference
 * hashes cover this form, so that they outlive a redaction.
 *
 * Spec: room versions, "Redactions" (v1.19).
 */
export function redact(pdu: Pdu, rules: RoomRules): Pdu {
  const content = redactContent(pdu.type, pdu.content, rules)
  return carryLooseNumbers(pdu, { ...pick(pdu, rules.redaction.event), content }) as unknown as Pdu
}

/** The `content` that a redaction leaves of an event of this type. */
export function redactContent(type: string, content: JsonObject, rules: RoomRules): JsonObject {
  const kept = rules.redaction.content.get(type)
  if (kept === undefined) return {}
  if (kept === 'all') return content
  const redacted = pick(content, kept)
  if (type !== 'm.room.member' || !rules.redaction.keepsThirdPartySigned) return redacted
  const invite = content.third_party_invite
  if (!isObject(invite)) return redacted
  // As deployed servers do, an invite without `signed` remains as an empty object: hashes depend on it.
  return carryLooseNumbers(content, { ...redacted, third_party_invite: pick(invite, SIGNED) })
}

/** The event that an `m.room.redaction` redacts; undefined if it names none. Spec: room version 11, "Event format". */
export function redactionTarget(pdu: Pdu, rules: RoomRules): EventId | undefined {
  const target: Json | undefined = rules.redactsIn === 'event' ? pdu.redacts : pdu.content.redacts
  return typeof target === 'string' ? parseEventId(target) : undefined
}

/**
 * Whether a redaction that was accepted is to be applied to its target, by the levels in force where it was sent. In room
 * versions 1 and 2 the authorisation rules have said so already.
 *
 * Spec: room version 3, "Handling redactions" (v1.19).
 */
export function mayRedact(redaction: RoomEvent, target: RoomEvent, levels: PowerLevels, rules: RoomRules): boolean {
  if (redaction.roomId !== target.roomId) return false
  // "The power level of the redaction event's sender is greater than or equal to the redact level."
  // "The domain of the redaction event's sender matches that of the original event's sender."
  return (
    rules.auth.checksRedactions ||
    levels.userLevel(redaction.pdu.sender) >= levels.redact ||
    serverNameOf(redaction.pdu.sender) === serverNameOf(target.pdu.sender)
  )
}

const SIGNED: ReadonlySet<string> = new Set(['signed'])

function pick(object: JsonObject, keys: ReadonlySet<string>): JsonObject {
  const picked: { [key: string]: Json } = {}
  for (const key of keys) if (Object.hasOwn(object, key)) picked[key] = object[key] as Json
  return carryLooseNumbers(object, picked)
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
