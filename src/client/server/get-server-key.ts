import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { canonicalJson } from '../../matrix/canonical-json.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { signJson } from '../../matrix/signatures.ts'

/** How long others may rely on the answer: half of what they may at most, so that a new key is known soon. */
const validFor = 24 * 60 * 60 * 1000

/** Spec: Server-Server API, `GET /_matrix/key/v2/server` (v1.19). */
export const getServerKey = endpoint({
  method: 'get',
  path: ['/_matrix/key/v2/server', '/_matrix/key/v2/server/', '/_matrix/key/v2/server/{keyId}'],
  auth: 'none',
  handle(ctx, { domain }) {
    const keys = ctx.domains.keysOf(domain)
    const verifyKeys = keys.map((key) => [key.keyId, { key: unpadded(key.publicKey) }] as const)
    const answer: JsonObject = {
      server_name: domain,
      valid_until_ts: ctx.clock.now() + validFor,
      verify_keys: Object.fromEntries(verifyKeys),
      old_verify_keys: {},
    }
    // In the form that is signed, so that those who check the bytes as they came are right too.
    return rawJson([canonicalJson(keys.reduce((signed, key) => signJson(signed, domain, key), answer))])
  },
})

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}
