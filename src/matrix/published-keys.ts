import { encodeBase64 } from './base64.ts'
import type { ServerName } from './ids.ts'
import type { JsonObject } from './json.ts'
import { type SigningKey, signJson } from './signatures.ts'
import type { RetiredKey } from './signing-key-file.ts'

/** How long others may rely on the answer: half of what they may at most, so that a new key is known soon. */
const validFor = 24 * 60 * 60 * 1000

/**
 * What a domain publishes about its signing keys, signed.
 *
 * Spec: Server-Server API, "Publishing Keys" (v1.19).
 *
 * @param now Milliseconds since the epoch.
 */
export function publishedKeys(
  domain: ServerName,
  keys: readonly SigningKey[],
  now: number,
  retired: readonly RetiredKey[] = [],
): JsonObject {
  const verifyKeys = keys.map((key) => [key.keyId, { key: encodeBase64(key.publicKey) }] as const)
  const oldVerifyKeys = retired.map(
    ({ keyId, publicKey, expiredAt }) => [keyId, { key: encodeBase64(publicKey), expired_ts: expiredAt }] as const,
  )
  return signedByAll(domain, keys, {
    server_name: domain,
    valid_until_ts: now + validFor,
    verify_keys: Object.fromEntries(verifyKeys),
    old_verify_keys: Object.fromEntries(oldVerifyKeys),
  })
}

/** The object with a signature by every key of a domain. */
export function signedByAll(domain: ServerName, keys: readonly SigningKey[], object: JsonObject): JsonObject {
  return keys.reduce((signed: JsonObject, key) => signJson(signed, domain, key), object)
}
