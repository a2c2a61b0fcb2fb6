import { canonicalJson } from '../matrix/canonical-json.ts'
import type { Json, JsonObject } from '../matrix/json.ts'

/** A key id, `<algorithm>:<name>`. Undefined unless both are there and can be stored. */
export function parseKeyId(text: string): { algorithm: string; name: string } | undefined {
  const colon = text.indexOf(':')
  if (colon < 1 || colon === text.length - 1 || text.length > 255 || text.includes('\0')) return undefined
  return { algorithm: text.slice(0, colon), name: text.slice(colon + 1) }
}

/** The part of a key object that is signed, as it is stored and compared. */
export function unsignedText(key: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = key
  return canonicalJson(rest)
}

/** The signatures of one signer on an object, by key id; what has not the shape of a signature is left out. */
export function signaturesBy(key: JsonObject, signer: string): Map<string, string> {
  const found = new Map<string, string>()
  const ofSigner = member(member(key, 'signatures'), signer)
  if (!isObject(ofSigner)) return found
  for (const [keyId, signature] of Object.entries(ofSigner)) {
    if (typeof signature !== 'string' || signature.length > 512 || signature.includes('\0')) continue
    if (parseKeyId(keyId) !== undefined) found.set(keyId, signature)
  }
  return found
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The member of an object whose keys others chose: nothing inherited. */
export function member(value: Json | undefined, key: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}
