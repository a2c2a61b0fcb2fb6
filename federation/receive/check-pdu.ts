import { requiredSigners } from '../../src/matrix/auth-rules/index.ts'
import type { Pdu, RoomEvent } from '../../src/matrix/event.ts'
import { parseEvent } from '../../src/matrix/event-format.ts'
import { hasValidContentHash } from '../../src/matrix/hashes.ts'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { redact } from '../../src/matrix/redaction.ts'
import type { RoomRules } from '../../src/matrix/room-versions.ts'
import { senderKeyIdsOf, verifyEvent } from '../../src/matrix/signatures.ts'
import type { Federation } from '../federation.ts'

export type CheckedPdu = { readonly event: RoomEvent; readonly error?: undefined } | Refused
/** What checks events. */
export type Checker = Pick<Federation, 'ctx' | 'allowList' | 'keys'>
type Refused = { readonly event?: RoomEvent; readonly error: string }

/**
 * Steps 1 to 3 for one event: whether it is one, of this room, signed by whom it has to be; where its content hash is
 * wrong, what is left of it is its redacted form.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU" (v1.19).
 */
export async function checkPdu(
  federation: Checker,
  json: Json | undefined,
  roomId: RoomId,
  rules: RoomRules,
): Promise<CheckedPdu> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return { error: 'not an object' }
  const parsed = parseEvent(json as JsonObject, rules)
  if ('error' in parsed) return parsed
  const { event } = parsed
  if (event.roomId !== roomId) return { event, error: 'The event is of another room' }
  if (!isFederated(federation, event.pdu.sender)) {
    return { event, error: 'The server of the sender is not federated with' }
  }
  for (const signer of requiredSigners(event, rules)) {
    if (!(await isSignedBy(federation, event, signer, rules))) {
      return { event, error: `There is no valid signature of ${signer}` }
    }
  }
  if (hasValidContentHash(event.pdu)) return { event }
  return { event: { ...event, pdu: redact(event.pdu, rules) as Pdu } }
}

/** The good ones of many. */
export async function checkPdus(
  federation: Checker,
  list: Json | undefined,
  roomId: RoomId,
  rules: RoomRules,
): Promise<RoomEvent[]> {
  if (!Array.isArray(list)) return []
  const checked = await Promise.all(list.map((json: Json) => checkPdu(federation, json, roomId, rules)))
  return checked.flatMap((one) => (one.error === undefined ? one.event : []))
}

/** Whether events of a user are taken: those of our own, and of servers that are federated with. */
export function isFederated({ ctx, allowList }: Pick<Federation, 'ctx' | 'allowList'>, sender: UserId): boolean {
  const server = serverNameOf(sender)
  return ctx.domains.isLocal(server) || allowList.allows(server, 'event')
}

/** Whether a server's own key signed the event, and was valid then where the room version asks for that. */
export async function isSignedBy(
  { keys }: Pick<Federation, 'keys'>,
  { pdu }: RoomEvent,
  server: ServerName,
  rules: RoomRules,
): Promise<boolean> {
  const at = rules.enforceKeyValidity ? pdu.origin_server_ts : 0
  for (const keyId of senderKeyIdsOf(pdu, server).slice(0, 5)) {
    const key = await keys.find(server, keyId, at)
    if (key && verifyEvent(pdu, server, keyId, key.publicKey, rules)) return true
  }
  return false
}
