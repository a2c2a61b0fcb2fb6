import { lookup, promises, type SrvRecord } from 'node:dns'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { Agent, request } from 'undici'
import type { Context } from '../../src/context.ts'
import { jsonText } from '../../src/matrix/canonical-json.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { JsonLists, type ListElement } from '../../src/matrix/json-lists.ts'
import { signJson } from '../../src/matrix/signatures.ts'
import { parseJsonBytes } from '../../src/matrix/strict-json.ts'
import { createAddressPolicy, literalIn, refuseAddress } from '../../src/net/addresses.ts'
import { checkedLookup, type Resolve } from '../../src/net/checked-lookup.ts'
import { type AnswerBody, readLimited } from '../../src/net/read-limited.ts'
import type { Span } from '../../src/tracing/tracing.ts'
import type { AllowList } from '../allow-list.ts'
import type { FederationMetrics } from '../federation-metrics.ts'
import type { SilentServers } from '../silent-servers.ts'
import { createDiscovery, type Endpoint } from './discovery.ts'
import { fetchWellKnown } from './well-known.ts'

export type RemoteRequest = {
  readonly method: 'GET' | 'PUT' | 'POST'
  /** With its query, as it is signed. */
  readonly uri: string
  readonly body?: JsonObject
  /** The domain of ours that asks; without one the request is not signed. */
  readonly origin?: ServerName
  /** Milliseconds. */
  readonly timeout?: number
  /** Bytes of the answer. */
  readonly maxBytes?: number
  /** The answer is `[200, answer]`, as some of the oldest operations have it. */
  readonly inPair?: boolean
}

/** What another server answered instead of 200. */
export class RemoteRefusal extends Error {
  override readonly name = 'RemoteRefusal'
  readonly status: number
  readonly body: JsonObject

  constructor(status: number, body: JsonObject) {
    super(`The other server answered ${status}`)
    this.status = status
    this.body = body
  }
}

/** An answer that is read as it comes. Whoever gets it reads its body to the end or destroys it. */
export type RemoteStream = {
  readonly status: number
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  readonly body: AnswerBody
}

/** How a large answer is read as it comes: `take` gets the elements of its lists, some at a time, and the next once it is done. */
export type ListReader = {
  readonly lists: readonly string[]
  take(elements: readonly ListElement[]): Promise<void>
}

/** The one way by which other servers are asked. */
export type RemoteClient = {
  /**
   * @returns the JSON of a 200.
   * @throws RemoteRefusal for another status; MatrixError when the server is not allowed or cannot be reached.
   */
  send(server: ServerName, request: RemoteRequest): Promise<JsonObject>
  /**
   * Reads an answer whose lists are too long to be parsed at once. `timeout` is until it begins.
   *
   * @returns the other members of a 200.
   * @throws as `send`, and what the reader throws.
   */
  sendForLists(server: ServerName, request: RemoteRequest, reader: ListReader): Promise<JsonObject>
  /**
   * The answer as it is, whatever its status; `timeout` is until it begins.
   *
   * @throws MatrixError when the server is not allowed or cannot be reached.
   */
  stream(server: ServerName, request: RemoteRequest): Promise<RemoteStream>
  /** What is at an address that a server named, unsigned and without following it any further. */
  streamFrom(url: URL, timeout: number): Promise<RemoteStream>
  close(): Promise<void>
}

const defaultTimeout = 30_000
const defaultMaxBytes = 16 * 1024 * 1024
/** Milliseconds that an answer may take which is read as it comes. */
const longestAnswer = 15 * 60_000

/** Who knows what names mean. */
export type Names = { readonly lookup: Resolve; resolveSrv(name: string): Promise<SrvRecord[]> }

const namesOfTheSystem: Names = { lookup, resolveSrv: promises.resolveSrv }

export function createRemoteClient(
  ctx: Pick<Context, 'config' | 'caches' | 'domains' | 'clock' | 'log' | 'tracing'>,
  allowList: AllowList,
  metrics: Pick<FederationMetrics, 'asked'>,
  silentServers: SilentServers,
  names: Names = namesOfTheSystem,
): RemoteClient {
  const config = ctx.config.federation
  const policy = createAddressPolicy(config.allow_addresses)
  const ca = config.ca_file === undefined ? undefined : [...rootCertificates, readFileSync(config.ca_file, 'utf8')]
  const agent = new Agent({
    connect: { lookup: checkedLookup(policy, names.lookup), timeout: 10_000, ...(ca && { ca }) },
    pipelining: 1,
    connections: 16,
  })
  const discover = createDiscovery(
    {
      wellKnown: (host) => fetchWellKnown(agent, policy, host),
      srv: (name) => names.resolveSrv(name).catch(() => []),
      now: ctx.clock.now,
    },
    ctx.caches,
  )
  const scheme = config.insecure_http ? 'http' : 'https'

  const open = (to: Endpoint, server: ServerName, asked: RemoteRequest, signal: AbortSignal) => {
    const host = to.host.includes(':') ? `[${to.host}]` : to.host
    const url = `${scheme}://${host}:${to.port}${asked.uri}`
    // As it will be connected to: names such as 127.1 are addresses, and are never looked up.
    const literal = literalIn(new URL(url))
    if (isIP(literal) !== 0 && !policy(literal)) refuseAddress()
    return request(url, {
      method: asked.method,
      dispatcher: agent,
      signal,
      headers: {
        host: to.hostHeader,
        ...(asked.body !== undefined && { 'content-type': 'application/json' }),
        ...(asked.origin !== undefined && { authorization: authorization(ctx, asked.origin, server, asked) }),
      },
      body: asked.body === undefined ? null : jsonText(asked.body),
    })
  }

  const exchange = async (to: Endpoint, server: ServerName, asked: RemoteRequest): Promise<JsonObject> => {
    const signal = AbortSignal.timeout(asked.timeout ?? defaultTimeout)
    const { statusCode, body } = await open(to, server, asked, signal)
    const bytes = await readLimited(body, asked.maxBytes ?? defaultMaxBytes)
    if (statusCode !== 200) throw new RemoteRefusal(statusCode, errorBody(bytes))
    const answer = parseJsonBytes(bytes, { integers: 'any', maxMembers: 20_000_000 })
    const json = asked.inPair && Array.isArray(answer) ? answer[1] : answer
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw unreachable()
    return json as JsonObject
  }

  const exchangeLists = async (
    to: Endpoint,
    server: ServerName,
    asked: RemoteRequest,
    reader: ListReader,
  ): Promise<JsonObject> => {
    const { status, body } = await begun(asked.timeout ?? defaultTimeout, (signal) => open(to, server, asked, signal))
    if (status !== 200) throw new RemoteRefusal(status, errorBody(await readLimited(body, defaultMaxBytes)))
    return readLists(body, asked.maxBytes ?? defaultMaxBytes, reader)
  }

  const traced = (server: ServerName, { method, uri }: RemoteRequest): Span | undefined =>
    ctx.tracing?.begin({
      kind: 'client',
      name: `${method} ${operationOf(uri)}`,
      attributes: { 'http.request.method': method, 'server.address': server },
    })

  /** Asks a server, and notes how that went. */
  const ask = async <Answer>(
    server: ServerName,
    asked: RemoteRequest,
    run: (to: Endpoint) => Promise<Answer>,
  ): Promise<Answer> => {
    if (!allowList.allows(server, 'outbound')) throw new MatrixError('M_FORBIDDEN', 'This server is not federated with')
    const begun = performance.now()
    const span = traced(server, asked)
    const note = (outcome: 'answered' | 'refused' | 'unreachable'): void => {
      metrics.asked(outcome, (performance.now() - begun) / 1000)
      span?.end({ attributes: { 'chappe.outcome': outcome }, hasFailed: outcome !== 'answered' })
    }
    try {
      const answer = await run(await discover(server))
      note('answered')
      silentServers.heardOf(server)
      return answer
    } catch (error) {
      note(error instanceof RemoteRefusal ? 'refused' : 'unreachable')
      if (error instanceof RemoteRefusal) throw error
      silentServers.add(server)
      ctx.log.debug({ server, error: (error as Error).message }, 'A server cannot be reached')
      throw unreachable()
    }
  }

  return {
    send: (server, asked) => ask(server, asked, (to) => exchange(to, server, asked)),
    async sendForLists(server, asked, reader) {
      let failure: { error: unknown } | undefined
      const take: ListReader['take'] = async (elements) => {
        await reader.take(elements).catch((error: unknown) => {
          failure = { error }
          throw error
        })
      }
      try {
        return await ask(server, asked, (to) => exchangeLists(to, server, asked, { ...reader, take }))
      } catch (error) {
        // Not the other server's fault.
        throw failure ? failure.error : error
      }
    },
    async stream(server, asked) {
      if (!allowList.allows(server, 'media')) throw new MatrixError('M_FORBIDDEN', 'This server is not federated with')
      const span = traced(server, asked)
      try {
        const to = await discover(server)
        const answer = await begun(asked.timeout ?? defaultTimeout, (signal) => open(to, server, asked, signal))
        span?.end({ attributes: { 'http.response.status_code': answer.status }, hasFailed: answer.status >= 400 })
        return answer
      } catch (error) {
        span?.end({ hasFailed: true })
        ctx.log.debug({ server, error: (error as Error).message }, 'A server cannot be reached')
        throw unreachable()
      }
    },
    async streamFrom(url, timeout) {
      const literal = literalIn(url)
      try {
        if (url.protocol !== `${scheme}:` || (isIP(literal) !== 0 && !policy(literal))) refuseAddress()
        return await begun(timeout, (signal) => request(url, { dispatcher: agent, signal }))
      } catch {
        throw unreachable()
      }
    },
    close: () => agent.destroy(),
  }
}

/** What is asked for, without the ids and the query behind it: `/_matrix/federation/v1/make_join`. */
export function operationOf(uri: string): string {
  return uri.split('?', 1)[0]!.split('/').slice(0, 5).join('/')
}

/** An answer that has to begin in time and has to end some time. */
async function begun(timeout: number, ask: (signal: AbortSignal) => ReturnType<typeof request>): Promise<RemoteStream> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), timeout)
  try {
    const signal = AbortSignal.any([late.signal, AbortSignal.timeout(longestAnswer)])
    const { statusCode, headers, body } = await ask(signal)
    // Whoever destroys it unread knows.
    body.on('error', () => {})
    return { status: statusCode, headers, body }
  } finally {
    clearTimeout(timer)
  }
}

function unreachable(): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', 'The other server cannot be reached')
}

/** Spec: Server-Server API, "Request Authentication" (v1.19). */
function authorization(
  ctx: Pick<Context, 'domains'>,
  origin: ServerName,
  destination: ServerName,
  { method, uri, body }: RemoteRequest,
): string {
  const key = ctx.domains.keyOf(origin)
  const signed = signJson({ method, uri, origin, destination, ...(body && { content: body }) }, origin, key)
  const signature = signed.signatures[origin]![key.keyId]!
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${signature}"`
}

/** Elements of lists that are handed on together. */
const elementsAtOnce = 500
/** Bytes of an element: an event of the largest size, every character of which is escaped. */
const mostElementBytes = 512 * 1024

async function readLists(body: RemoteStream['body'], limit: number, reader: ListReader): Promise<JsonObject> {
  const json = new JsonLists(reader.lists, { element: mostElementBytes, rest: defaultMaxBytes })
  let length = 0
  let elements: ListElement[] = []
  try {
    for await (const chunk of body) {
      length += chunk.length
      if (length > limit) throw unreachable()
      elements.push(...json.push(chunk))
      if (elements.length < elementsAtOnce) continue
      await reader.take(elements)
      elements = []
    }
    if (elements.length > 0) await reader.take(elements)
    return parseJsonBytes(json.end(), { integers: 'any' }) as JsonObject
  } finally {
    body.destroy()
  }
}

function errorBody(bytes: Buffer): JsonObject {
  try {
    const json: Json = parseJsonBytes(bytes)
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : {}
  } catch {
    return {}
  }
}
