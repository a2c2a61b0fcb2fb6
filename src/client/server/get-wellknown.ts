import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, "Well-known URIs" (v1.19). */
export const getWellknown = endpoint({
  method: 'get',
  path: '/.well-known/matrix/client',
  auth: 'none',
  handle(ctx, { domain }) {
    return { 'm.homeserver': { base_url: ctx.domains.baseUrlOf(domain) } }
  },
})
