import { decodeBase64 } from '../base64.ts'
import type { RoomEvent } from '../event.ts'
import type { Json, JsonObject } from '../json.ts'
import { MAX_THIRD_PARTY_SIGNATURE_CHECKS } from '../limits.ts'
import { signingKeyIdsOf, verifyJson } from '../signatures.ts'
import { ALLOW, type AuthState, reject, type Verdict } from './verdict.ts'

/** Spec: room versions, "Authorisation rules", 5.4.1 in the numbers of room version 12, from its second step (v1.19). */
export function checkThirdPartyInvite(event: RoomEvent, target: string, state: AuthState): Verdict {
  const { sender, content } = event.pdu
  // "If content.third_party_invite does not have a signed property, reject."
  const signed = objectAt(asObject(content.third_party_invite), 'signed')
  if (signed === undefined) return reject('The third-party invite is not signed')
  // "If signed does not have mxid and token properties, reject."
  const { mxid, token } = signed
  if (typeof mxid !== 'string' || typeof token !== 'string') return reject('The third-party invite names nobody')
  // "If mxid does not match state_key, reject."
  if (mxid !== target) return reject('The third-party invite is for another user')
  // "If there is no m.room.third_party_invite event in the current room state with state_key matching token, reject."
  const origin = state.get('m.room.third_party_invite', token)
  if (origin === undefined) return reject('There is no such third-party invite')
  // "If sender does not match sender of the m.room.third_party_invite, reject."
  if (sender !== origin.pdu.sender) return reject('The third-party invite is by another user')
  // "If any signature in signed matches any public key in the m.room.third_party_invite event, allow. Otherwise, reject."
  return isSignedByAny(signed, publicKeysOf(origin.pdu.content))
    ? ALLOW
    : reject('The third-party invite has no valid signature')
}

/** "A single public key in the public_key property. A list of public keys in the public_keys property." */
function publicKeysOf(content: JsonObject): readonly Buffer[] {
  const list = Array.isArray(content.public_keys) ? (content.public_keys as readonly Json[]) : []
  return [content.public_key, ...list.map((item) => asObject(item)?.public_key)]
    .map((key) => (typeof key === 'string' ? decodeBase64(key) : undefined))
    .filter((key) => key?.length === 32) as Buffer[]
}

function isSignedByAny(signed: JsonObject, publicKeys: readonly Buffer[]): boolean {
  let checks = 0
  for (const name of Object.keys(asObject(signed.signatures) ?? {})) {
    for (const keyId of signingKeyIdsOf(signed, name)) {
      for (const publicKey of publicKeys) {
        if ((checks += 1) > MAX_THIRD_PARTY_SIGNATURE_CHECKS) return false
        if (verifyJson(signed, name, keyId, publicKey)) return true
      }
    }
  }
  return false
}

function objectAt(object: JsonObject | undefined, key: string): JsonObject | undefined {
  return object !== undefined && Object.hasOwn(object, key) ? asObject(object[key]) : undefined
}

function asObject(value: Json | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined
}
