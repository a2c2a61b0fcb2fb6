import { hash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Context } from '../context.ts'
import { bearerToken } from '../http/authentication.ts'
import { endpoint } from '../http/endpoint.ts'
import { setCommonHeaders } from '../http/response.ts'
import { MatrixError } from '../matrix/errors.ts'

/**
 * What Prometheus scrapes. Only the listener of administrators serves it, whatever `admin.on_client_listener` says: it names the
 * servers that are federated with.
 *
 * Errors: M_MISSING_TOKEN, M_UNKNOWN_TOKEN where `metrics.token` is set.
 */
export const getMetrics = endpoint({
  method: 'get',
  path: '/_chappe/metrics',
  auth: 'none',
  async handle(ctx, { request, response, address }) {
    await checkToken(ctx, request, address)
    const text = await ctx.metrics.scrape()
    setCommonHeaders(response)
    response.setHeader('Content-Type', ctx.metrics.registry.contentType)
    response.setHeader('Cache-Control', 'no-store')
    response.end(text)
    return undefined
  },
})

async function checkToken(ctx: Context, request: IncomingMessage, address: string): Promise<void> {
  const { token } = ctx.config.metrics
  if (token === undefined) return
  const given = bearerToken(request)
  if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return
  await ctx.rateLimits.take('admin_refused', address)
  throw given === undefined
    ? new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    : new MatrixError('M_UNKNOWN_TOKEN', 'This is not the token of metrics')
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
