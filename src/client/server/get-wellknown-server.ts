import { endpoint } from '../../http/endpoint.ts'

/** Where other servers reach the domain. Spec: Server-Server API, "Server discovery" (v1.19). */
export const getWellknownServer = endpoint({
  method: 'get',
  path: '/.well-known/matrix/server',
  auth: 'none',
  handle(ctx, { domain }) {
    const url = new URL(ctx.domains.baseUrlOf(domain))
    const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
    return { 'm.server': `${url.hostname}:${port}` }
  },
})
