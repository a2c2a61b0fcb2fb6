import { hash } from 'node:crypto'
import { decodeBase64 } from '../matrix/base64.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { verifyJson } from '../matrix/signatures.ts'
import { containsNul } from '../matrix/strict-json.ts'
import type { OneTimeKey } from '../storage/one-time-keys.ts'
import { isObject, member, parseKeyId, signaturesBy, unsignedText } from './key-json.ts'
import { MAX_IDENTITY_KEY_BYTES, MAX_ONE_TIME_KEY_BYTES } from './limits.ts'

/** What is left of uploaded device keys once they are checked: the signed part, and the device's own signature. */
export type CheckedDeviceKeys = {
  readonly content: string
  readonly signerKey: string
  /** Absent from keys that their device has not signed: no client trusts those, and none is harmed by them. */
  readonly signature: string | undefined
  /** As they came: also with signatures by others. */
  readonly signed: JsonObject
}

/**
 * Checks the identity keys of a device: that they are its own, and that a signature by it is true.
 *
 * Spec: Client-Server API, "Uploading keys" (v1.19).
 *
 * @throws MatrixError M_BAD_JSON, M_INVALID_PARAM, M_INVALID_SIGNATURE, M_TOO_LARGE.
 */
export function checkDeviceKeys(
  device: { readonly userId: UserId; readonly deviceId: string },
  keys: unknown,
): CheckedDeviceKeys {
  if (!isObject(keys)) throw bad('device_keys')
  if (keys.user_id !== device.userId) throw new MatrixError('M_INVALID_PARAM', 'device_keys.user_id is not yours')
  if (keys.device_id !== device.deviceId) {
    throw new MatrixError('M_INVALID_PARAM', 'device_keys.device_id is not this device')
  }
  const { algorithms } = keys
  if (!Array.isArray(algorithms) || !algorithms.every((one) => typeof one === 'string')) {
    throw bad('device_keys.algorithms')
  }
  if (!isObject(keys.keys)) throw bad('device_keys.keys')
  for (const [keyId, key] of Object.entries(keys.keys)) {
    const parsed = parseKeyId(keyId)
    if (parsed?.name !== device.deviceId || typeof key !== 'string') throw bad(`device_keys.keys.${keyId}`)
    if (isCurveKey(parsed.algorithm) && decodeBase64(key)?.length !== 32) throw bad(`device_keys.keys.${keyId}`)
  }
  const signerKey = `ed25519:${device.deviceId}`
  const publicKey = member(keys.keys, signerKey)
  if (typeof publicKey !== 'string') throw bad(`device_keys.keys.${signerKey}`)
  const signature = signaturesBy(keys, device.userId).get(signerKey)
  if (!isObject(keys.signatures)) throw bad('device_keys.signatures')
  if (signature !== undefined && !verifyJson(keys, device.userId, signerKey, decodeBase64(publicKey)!)) {
    throw new MatrixError('M_INVALID_SIGNATURE', 'device_keys is not signed by its own ed25519 key')
  }
  const content = unsignedText(keys)
  if (Buffer.byteLength(content) > MAX_IDENTITY_KEY_BYTES || containsNul(keys)) throw bad('device_keys')
  return { content, signerKey, signature, signed: keys }
}

function isCurveKey(algorithm: string): boolean {
  return algorithm === 'ed25519' || algorithm === 'curve25519'
}

/**
 * Checks one-time or fallback keys, `{"<algorithm>:<key id>": key}`.
 *
 * Spec: Client-Server API, "Key algorithms" (v1.19).
 *
 * @param field Its name in the request, for errors.
 * @throws MatrixError M_BAD_JSON
 */
export function checkOneTimeKeys(field: string, keys: unknown): OneTimeKey[] {
  if (!isObject(keys)) throw bad(field)
  return Object.entries(keys).map(([id, key]) => {
    const parsed = parseKeyId(id)
    if (parsed === undefined) throw bad(`${field}.${id}`)
    const isSigned = parsed.algorithm.startsWith('signed_')
    if (typeof key === 'string' ? isSigned || key === '' : !isKeyObject(key)) throw bad(`${field}.${id}`)
    const content = JSON.stringify(key)
    if (Buffer.byteLength(content) > MAX_ONE_TIME_KEY_BYTES) throw bad(`${field}.${id}`)
    return { algorithm: parsed.algorithm, keyId: parsed.name, content, digest: digestOf(key as string | JsonObject) }
  })
}

/** There is at most one fallback key for an algorithm. @throws MatrixError M_BAD_JSON */
export function checkFallbackKeys(field: string, keys: unknown): OneTimeKey[] {
  const checked = checkOneTimeKeys(field, keys)
  if (new Set(checked.map((key) => key.algorithm)).size < checked.length) throw bad(field)
  return checked
}

function isKeyObject(key: unknown): boolean {
  if (!isObject(key) || typeof key.key !== 'string' || !isObject(key.signatures)) return false
  return Object.values(key.signatures).every(
    (bySigner) => isObject(bySigner) && Object.values(bySigner).every((signature) => typeof signature === 'string'),
  )
}

/** Of a key as such: signing it again makes no other key of it. */
function digestOf(key: string | JsonObject): Buffer {
  return hash('sha256', typeof key === 'string' ? JSON.stringify(key) : unsignedText(key), 'buffer').subarray(0, 16)
}

function bad(field: string): MatrixError {
  return new MatrixError('M_BAD_JSON', `Not valid: ${field.slice(0, 100)}`)
}
