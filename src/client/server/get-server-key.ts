import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { canonicalJson } from '../../matrix/canonical-json.ts'

/** Spec: Server-Server API, `GET /_matrix/key/v2/server` (v1.19). */
export const getServerKey = endpoint({
  method: 'get',
  path: ['/_matrix/key/v2/server', '/_matrix/key/v2/server/', '/_matrix/key/v2/server/{keyId}'],
  auth: 'none',
  // In the form that is signed, so that those who check the bytes as they came are right too.
  handle: (ctx, { domain }) => rawJson([canonicalJson(ctx.domains.publishedKeysOf(domain, ctx.clock.now()))]),
})
