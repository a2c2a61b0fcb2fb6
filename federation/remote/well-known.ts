import { isIP } from 'node:net'
import { type Dispatcher, request } from 'undici'
import { MAX_WELL_KNOWN_BYTES } from '../../src/matrix/limits.ts'
import { parseJsonBytes } from '../../src/matrix/strict-json.ts'
import { type AddressPolicy, literalIn } from '../../src/net/addresses.ts'
import { discard, readLimited } from '../../src/net/read-limited.ts'
import type { WellKnown } from './discovery.ts'

const mostRedirects = 5
/** Milliseconds for each address. */
const patience = 10_000

/**
 * What is at `/.well-known/matrix/server` of a host. Follows redirects, each of which is checked like the first address.
 *
 * @param dispatcher connects to nothing that a name leads to and the policy forbids.
 */
export async function fetchWellKnown(
  dispatcher: Dispatcher,
  policy: AddressPolicy,
  host: string,
): Promise<WellKnown | undefined> {
  try {
    let url = new URL(`https://${host}/.well-known/matrix/server`)
    for (let redirects = 0; redirects <= mostRedirects; redirects++) {
      const literal = literalIn(url)
      if (url.protocol !== 'https:' || (isIP(literal) !== 0 && !policy(literal))) return undefined
      const options = { dispatcher, signal: AbortSignal.timeout(patience), headers: { accept: 'application/json' } }
      const { statusCode, headers, body } = await request(url, options)
      const location = headers.location
      if (statusCode >= 300 && statusCode < 400 && typeof location === 'string') {
        discard(body)
        url = new URL(location, url)
        continue
      }
      const bytes = await readLimited(body, MAX_WELL_KNOWN_BYTES)
      if (statusCode !== 200) return undefined
      const cacheControl = headers['cache-control']
      return { body: parseJsonBytes(bytes), cacheControl: typeof cacheControl === 'string' ? cacheControl : undefined }
    }
  } catch {
    // No answer, or none that can be read: the next step of the discovery applies.
  }
  return undefined
}
