import { decodeBase64 } from '../matrix/base64.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { verifyJson } from '../matrix/signatures.ts'
import { containsNul } from '../matrix/strict-json.ts'
import type { Usage } from '../storage/keys.ts'
import { isObject, signaturesBy, unsignedText } from './key-json.ts'
import { MAX_IDENTITY_KEY_BYTES } from './limits.ts'

/** A cross-signing key as it came, with what is stored of it. */
export type CrossSigningKey = {
  readonly usage: Usage
  /** Unpadded base64. */
  readonly publicKey: string
  readonly content: string
  readonly json: JsonObject
}

/**
 * Checks the shape of a cross-signing key and whose it is.
 *
 * Spec: Client-Server API, `CrossSigningKey` (v1.19).
 *
 * @param field Its name in the request, for errors.
 * @throws MatrixError M_BAD_JSON, M_INVALID_PARAM
 */
export function checkCrossSigningKey(field: string, key: unknown, usage: Usage, owner: UserId): CrossSigningKey {
  if (!isObject(key)) throw bad(field)
  if (key.user_id !== owner) throw new MatrixError('M_INVALID_PARAM', `${field}.user_id is not yours`)
  if (!Array.isArray(key.usage) || !key.usage.includes(usage)) {
    throw new MatrixError('M_INVALID_PARAM', `${field}.usage is not ${usage}`)
  }
  const publicKey = publicKeyIn(key)
  if (publicKey === undefined) throw new MatrixError('M_INVALID_PARAM', `${field}.keys is not one ed25519 key`)
  if (key.signatures !== undefined && !isObject(key.signatures)) throw bad(`${field}.signatures`)
  const content = unsignedText(key)
  if (Buffer.byteLength(content) > MAX_IDENTITY_KEY_BYTES || containsNul(key)) throw bad(field)
  return { usage, publicKey, content, json: key }
}

/** The one key of an object `{"ed25519:<key>": "<key>"}`, in unpadded base64. */
export function publicKeyIn(key: JsonObject): string | undefined {
  const entries = isObject(key.keys) ? Object.entries(key.keys) : []
  const [keyId, publicKey] = entries[0] ?? []
  if (entries.length !== 1 || typeof publicKey !== 'string' || keyId !== `ed25519:${publicKey}`) return undefined
  return decodeBase64(publicKey)?.length === 32 && !publicKey.endsWith('=') ? publicKey : undefined
}

/**
 * The signature of the master key on another key of its owner.
 *
 * @throws MatrixError M_INVALID_SIGNATURE
 */
export function masterSignatureOn(key: CrossSigningKey, masterKey: string, owner: UserId): string {
  const keyId = `ed25519:${masterKey}`
  const signature = signaturesBy(key.json, owner).get(keyId)
  if (signature === undefined || !isSignedBy(key.json, owner, keyId, masterKey)) {
    throw new MatrixError('M_INVALID_SIGNATURE', `The ${key.usage} key is not signed by the master key`)
  }
  return signature
}

/** @param publicKey base64. */
export function isSignedBy(key: JsonObject, signer: UserId, keyId: string, publicKey: string): boolean {
  const bytes = decodeBase64(publicKey)
  return bytes?.length === 32 && verifyJson(key, signer, keyId, bytes)
}

function bad(field: string): MatrixError {
  return new MatrixError('M_BAD_JSON', `Not valid: ${field}`)
}
