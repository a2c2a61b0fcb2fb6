import { decodeBase64, encodeBase64 } from './base64.ts'
import { canonicalJson } from './canonical-json.ts'
import { ed25519, type KeyPair } from './ed25519.ts'
import type { Pdu } from './event.ts'
import { signedText } from './hashes.ts'
import type { ServerName, UserId } from './ids.ts'
import type { Json, JsonObject } from './json.ts'
import { carryLooseNumbers } from './loose-numbers.ts'
import type { RoomRules } from './room-versions.ts'

export type KeyId = `ed25519:${string}`

/** What a policy server recommends events by; what a server signs its own events by has another id. */
export const POLICY_SERVER_KEY_ID: KeyId = 'ed25519:policy_server'

export type SigningKey = KeyPair & {
  readonly keyId: KeyId
  /** What follows the algorithm in the key id. */
  readonly version: string
}

/** Errors: RangeError unless the seed has 32 bytes. */
export function signingKeyFromSeed(version: string, seed: Uint8Array): SigningKey {
  return { keyId: `ed25519:${version}`, version, ...ed25519.keyPair(Buffer.from(seed)) }
}

/**
 * The object with a signature by `name` added to those it has.
 *
 * Spec: Appendices, "Signing Details" (v1.19).
 */
export function signJson<T extends JsonObject>(object: T, name: ServerName | UserId, key: SigningKey): T & Signed {
  return withSignature(object, name, key.keyId, signText(textToSign(object), key))
}

/**
 * Whether the object bears a valid signature by `name` with this key. `publicKey` has 32 bytes.
 *
 * Spec: Appendices, "Checking for a Signature", steps 4 to 7 (v1.19).
 */
export function verifyJson(object: JsonObject, name: string, keyId: string, publicKey: Uint8Array): boolean {
  const signature = signatureOf(object, name, keyId)
  return signature !== undefined && ed25519.verify(signature, Buffer.from(textToSign(object)), publicKey)
}

/** The event, whose `hashes` are in place, with the signature of a server added. */
export function signEvent(pdu: Pdu, serverName: ServerName, key: SigningKey, rules: RoomRules): Pdu {
  return withSignature(pdu, serverName, key.keyId, signText(signedText(pdu, rules), key)) as Pdu
}

/**
 * Whether a server's signature on the event is valid.
 *
 * Spec: Server-Server API, "Validating hashes and signatures on received events" (v1.19).
 */
export function verifyEvent(
  pdu: Pdu,
  serverName: ServerName,
  keyId: string,
  publicKey: Uint8Array,
  rules: RoomRules,
): boolean {
  const signature = signatureOf(pdu, serverName, keyId)
  return signature !== undefined && ed25519.verify(signature, Buffer.from(signedText(pdu, rules)), publicKey)
}

/** The ids of the keys of algorithms we know with which `name` claims to have signed the object. */
export function signingKeyIdsOf(object: JsonObject, name: string): readonly KeyId[] {
  const signatures = own(own(object, 'signatures'), name)
  return typeof signatures === 'object' && signatures !== null
    ? Object.keys(signatures).filter((keyId): keyId is KeyId => keyId.startsWith('ed25519:'))
    : []
}

/** Those among them that say who sent an event. What a policy server recommends it by does not. */
export function senderKeyIdsOf(pdu: Pdu, server: ServerName): readonly KeyId[] {
  return signingKeyIdsOf(pdu as unknown as JsonObject, server).filter((keyId) => keyId !== POLICY_SERVER_KEY_ID)
}

/** The signature of a text, in unpadded base64. */
export function signText(text: string, key: SigningKey): string {
  return encodeBase64(ed25519.sign(Buffer.from(text), key))
}

type Signed = { readonly signatures: { readonly [name: string]: { readonly [keyId: string]: string } } }

function textToSign(object: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = object
  return canonicalJson(carryLooseNumbers(object, signed))
}

function withSignature<T extends JsonObject>(object: T, name: string, keyId: KeyId, signature: string): T & Signed {
  const signatures = own(object, 'signatures')
  const ofName = own(signatures, name)
  return {
    ...object,
    signatures: {
      ...(signatures as Signed['signatures'] | undefined),
      [name]: { ...(ofName as { readonly [keyId: string]: string } | undefined), [keyId]: signature },
    },
  }
}

function signatureOf(object: JsonObject, name: string, keyId: string): Buffer | undefined {
  const text = own(own(own(object, 'signatures'), name), keyId)
  return typeof text === 'string' && keyId.startsWith('ed25519:') ? decodeBase64(text) : undefined
}

/** The member of an object that others named: nothing inherited, nothing from values of other types. */
function own(value: Json | undefined, key: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
    return undefined
  return (value as JsonObject)[key]
}
