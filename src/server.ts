import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { getMetrics } from './admin/get-metrics.ts'
import { adminEndpoints } from './admin/index.ts'
import { endpoints } from './client/index.ts'
import { beginClosing, type Context } from './context.ts'
import type { Endpoint } from './http/endpoint.ts'
import { createRouter } from './http/router.ts'

export type RunningServer = {
  readonly port: number
  /** Stops accepting, has everything that waits answered, and resolves when the last answer is out. */
  close(): Promise<void>
}

/** Milliseconds that a whole request may take to arrive: a large upload over a slow line takes its time. */
const requestTimeout = 30 * 60_000
/** Headers and URL together: long enough for a room id in every parameter. */
const maxHeaderSize = 32_768

/**
 * What is served to other servers whether or not anybody is federated with: the keys that our events are signed with, and what
 * identity servers tell.
 */
export const alwaysForServers: readonly Endpoint[] = endpoints.filter(({ paths }) =>
  paths.some((path) => /^\/_matrix\/(key|federation)\//.test(path)),
)

/**
 * Listens for clients.
 *
 * @throws the error of `listen`, EADDRINUSE among them.
 */
export async function startServer(
  ctx: Context,
  options: {
    host?: string
    port?: number
    endpoints?: readonly Endpoint[]
    /** Served beside those. */
    also?: readonly Endpoint[]
    /** Served by another listener of this server. */
    elsewhere?: readonly Endpoint[]
    /** Speaks TLS with these, in PEM. */
    tls?: { cert: Buffer; key: Buffer }
  } = {},
): Promise<RunningServer> {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  app.set('strict routing', true)
  app.set('trust proxy', false)
  const { elsewhere = [] } = options
  app.use(createRouter(ctx, [...(options.endpoints ?? publicEndpoints(ctx)), ...(options.also ?? [])], { elsewhere }))
  const settings = { maxHeaderSize, noDelay: true, keepAliveTimeout: 65_000, requestTimeout }
  const server: Server = options.tls
    ? createTlsServer({ ...settings, ...options.tls }, app)
    : createServer(settings, app)
  await listen(server, options.port ?? ctx.config.port, options.host ?? ctx.config.host)
  ctx.pushing.start()
  if (ctx.config.experimental.msc4140) ctx.delayedEvents.start()
  ctx.applicationServices.start()
  ctx.searchIndex.start()
  ctx.mailDigests?.start()
  ctx.jobs.start(ctx)
  ctx.guestRemoval.start(ctx)
  return {
    port: (server.address() as AddressInfo).port,
    close: () => closeServer(ctx, server),
  }
}

/** What clients are served, and administrators among them where the configuration wants it. */
function publicEndpoints(ctx: Context): readonly Endpoint[] {
  return ctx.config.admin.on_client_listener ? [...endpoints, ...adminEndpoints] : endpoints
}

/** Listens for administrators, on a port of their own. */
export function startAdminServer(ctx: Context, options: { host?: string; port?: number } = {}): Promise<RunningServer> {
  const { host, port = 0 } = ctx.config.admin
  return startServer(ctx, { host, port, ...options, endpoints: [...adminEndpoints, getMetrics] })
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closeServer(ctx: Context, server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timeout = setTimeout(() => server.closeAllConnections(), ctx.config.shutdown_timeout_seconds * 1000)
    // A connection whose last answer is out would otherwise stay open for its client's next request.
    const sweep = setInterval(() => server.closeIdleConnections(), 20)
    server.close(() => {
      clearTimeout(timeout)
      clearInterval(sweep)
      resolve()
    })
    beginClosing(ctx)
  })
}
