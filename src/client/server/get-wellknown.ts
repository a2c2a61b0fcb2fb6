import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, "Well-known URIs" (v1.19). */
export const getWellknown = endpoint({
  method: 'get',
  path: '/.well-known/matrix/client',
  auth: 'none',
  handle(ctx, { domain }) {
    const { transports } = ctx.config.matrix_rtc
    const identityServer = ctx.identityServers.forClients
    return {
      'm.homeserver': { base_url: ctx.domains.baseUrlOf(domain) },
      ...(identityServer !== undefined && { 'm.identity_server': { base_url: identityServer } }),
      // Clients that do not know the endpoint for it look here.
      ...(ctx.config.experimental.msc4143 && transports.length > 0 && { 'org.matrix.msc4143.rtc_foci': transports }),
    }
  },
})
