import type { IncomingMessage } from 'node:http'
import type { Request, RequestHandler, Response } from 'express'
import findMyWay, { type HTTPMethod } from 'find-my-way'
import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { MAX_EVENT_BYTES } from '../matrix/limits.ts'
import { currentCourse, inCourse } from '../tracing/course.ts'
import { jsonOf, RequestAborted, readBody, refuseForeignTypes } from './body.ts'
import { createOrigins } from './client-address.ts'
import type { AnyCall, Endpoint } from './endpoint.ts'
import { type Observed, observeRequest } from './observe-request.ts'
import { parseQueryString } from './query-string.ts'
import { isUnlimited } from './rate-limit.ts'
import { createRequestIds } from './request-id.ts'
import { answer, sendError, sendPreflight } from './response.ts'

/** Room for the largest event, and what surrounds it in a request. */
const defaultBodyLimit = 2 * MAX_EVENT_BYTES
/** Longer than any URL that Node accepts, so that a long parameter is answered by its endpoint. */
const maxParamLength = 65_536

const methods: readonly HTTPMethod[] = ['GET', 'PUT', 'POST', 'DELETE']

type Routes = ReturnType<typeof findMyWay>

/**
 * Serves endpoints as one express handler: a single radix lookup, however many there are.
 *
 * Paths are case-sensitive, strict and anchored. An unknown path is 404 and a known path with another method 405, both
 * M_UNRECOGNIZED.
 *
 * @param options.elsewhere What another listener of this server serves: its paths are known here too.
 * @throws Error when two endpoints claim the same method and path.
 */
export function createRouter(
  ctx: Context,
  endpoints: readonly Endpoint[],
  options: { readonly elsewhere?: readonly Endpoint[] } = {},
): RequestHandler {
  const elsewhere = routesOf(options.elsewhere ?? [])
  const routes = routesOf(endpoints.filter((endpoint) => endpoint.when?.(ctx.config) !== false))
  const origins = createOrigins(ctx.config.trusted_proxies)
  const requestIdOf = createRequestIds(ctx, origins.isProxied)

  async function serve(request: Request, response: Response, observed: Observed, address: string): Promise<void> {
    const found = findEndpoint(routes, elsewhere, request)
    const { around, operation } = found.endpoint
    observed.begin(operation)
    const work = () => run(found, address, request, response)
    answer(response, await (around === undefined ? work() : around(ctx, { request, address }, work)))
  }

  async function run({ endpoint, ...found }: Found, address: string, request: Request, response: Response) {
    const texts = parseQueryString(found.queryString)
    const pending = endpoint.authenticate(ctx, request, texts)
    const requester = pending instanceof Promise ? await pending : pending
    if (endpoint.rateLimit !== undefined && !isUnlimited(requester)) {
      const { kind, by } = endpoint.rateLimit
      const key = by === 'user' && requester !== undefined ? requester.userId : address
      const limit = kind === 'message' ? requester?.messageLimit : undefined
      if (limit?.per_second !== 0) await ctx.rateLimits.take(kind, key, limit)
    }
    const params = endpoint.checkParams === undefined ? found.params : endpoint.checkParams(found.params)
    const query = endpoint.checkQuery === undefined ? texts : endpoint.checkQuery(texts)
    const body = endpoint.raw === true ? undefined : await jsonBody(endpoint, request)
    if (requester !== undefined) noteSeen(ctx, requester, address, request)
    const call: AnyCall = {
      params,
      query,
      body,
      requester,
      domain: requester?.domain ?? ctx.domains.ofHost(origins.hostOf(request)),
      address,
      request,
      response,
    }
    return endpoint.handle(ctx, call)
  }

  return (request, response) => {
    if (request.method === 'OPTIONS') {
      sendPreflight(response)
      return
    }
    if (ctx.closing.aborted) response.shouldKeepAlive = false
    const requestId = requestIdOf(request)
    const span = ctx.tracing?.begin({
      kind: 'server',
      name: 'request',
      traceParent: origins.isProxied(request) ? onlyText(request.headers.traceparent) : undefined,
      attributes: { 'http.request.method': request.method, 'chappe.request_id': requestId },
    })
    inCourse({ requestIds: [requestId], span }, () => {
      const address = origins.addressOf(request)
      const observed = observeRequest(ctx, { response, address, span })
      serve(request, response, observed, address).catch((error: unknown) => answerError(ctx, request, response, error))
    })
  }
}

function onlyText(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}

type Found = { endpoint: Endpoint; params: Record<string, string>; queryString: string }

function routesOf(endpoints: readonly Endpoint[]): Routes {
  const routes = findMyWay({
    caseSensitive: true,
    ignoreTrailingSlash: false,
    ignoreDuplicateSlashes: false,
    maxParamLength,
    querystringParser: (text) => text as never,
    onBadUrl: () => {},
  })
  for (const endpoint of endpoints) {
    for (const path of endpoint.paths) {
      routes.on(endpoint.method.toUpperCase() as HTTPMethod, path.replaceAll(/\{(\w+)\}/g, ':$1'), () => {}, endpoint)
    }
  }
  return routes
}

function findEndpoint(routes: Routes, elsewhere: Routes, request: IncomingMessage): Found {
  const url = request.url!
  const method = (request.method === 'HEAD' ? 'GET' : request.method) as HTTPMethod
  const match = routes.find(method, url)
  if (match === null) {
    const isServed = (other: HTTPMethod) => routes.find(other, url) !== null || elsewhere.find(other, url) !== null
    throw elsewhere.find(method, url) === null && methods.some((other) => other !== method && isServed(other))
      ? new MatrixError('M_UNRECOGNIZED', 'This method is not allowed here', { status: 405 })
      : new MatrixError('M_UNRECOGNIZED', 'Unrecognised request')
  }
  const endpoint = match.store as Endpoint | null
  if (endpoint === null) throw new MatrixError('M_INVALID_PARAM', 'The path is not validly encoded')
  const params = match.params as Record<string, string>
  for (const name of endpoint.paramNames) {
    const value = (params[name] ??= '')
    if (value.includes('\0')) throw new MatrixError('M_INVALID_PARAM', `The ${name} in the path is not valid`)
  }
  return { endpoint, params, queryString: match.searchParams as unknown as string }
}

async function jsonBody(endpoint: Endpoint, request: IncomingMessage): Promise<unknown> {
  if (endpoint.method === 'get' || (endpoint.checkBody === undefined && endpoint.method === 'delete')) return undefined
  refuseForeignTypes(request)
  const bytes = readBody(request, endpoint.bodyLimit ?? defaultBodyLimit)
  const read = bytes instanceof Promise ? await bytes : bytes
  if (endpoint.checkBody === undefined) return undefined
  return endpoint.checkBody(
    jsonOf(read, endpoint.mayLackBody ? 'post' : endpoint.method, endpoint.integers ?? 'strict'),
  )
}

function noteSeen(ctx: Context, requester: Requester, address: string, request: IncomingMessage): void {
  if (requester.deviceId === undefined) return
  ctx.lastSeen.note(requester.userNid, requester.deviceId, address, request.headers['user-agent'])
}

function answerError(ctx: Context, request: Request, response: Response, error: unknown): void {
  if (error instanceof RequestAborted) {
    response.destroy()
    return
  }
  const unread = request.complete ? [] : ['Connection', 'close']
  if (error instanceof MatrixError) {
    if (response.headersSent) response.destroy()
    else sendError(response, error, unread)
    return
  }
  const requestId = currentCourse()!.requestIds[0]!
  ctx.log.error({ err: error }, 'A request failed')
  if (response.headersSent) response.destroy()
  else
    sendError(response, new MatrixError('M_UNKNOWN', 'Internal server error'), ['X-Request-Id', requestId, ...unread])
}
