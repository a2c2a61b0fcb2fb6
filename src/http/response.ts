import type { ServerResponse } from 'node:http'
import { pipeline, Readable } from 'node:stream'
import type { MatrixError } from '../matrix/errors.ts'

/**
 * Headers of every answer: any web client may read it, no browser shall interpret, frame or keep it.
 *
 * Spec: Client-Server API, "Web Browser Clients" (v1.19).
 */
const always: readonly string[] = [
  'Access-Control-Allow-Origin',
  '*',
  'Access-Control-Allow-Methods',
  'GET, POST, PUT, DELETE, OPTIONS',
  'Access-Control-Allow-Headers',
  'X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match',
  'Access-Control-Expose-Headers',
  'Retry-After, ETag',
  'X-Content-Type-Options',
  'nosniff',
  'X-Frame-Options',
  'DENY',
  'Content-Security-Policy',
  "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
]

const json: readonly string[] = [...always, 'Cache-Control', 'no-store', 'Content-Type', 'application/json']

/** JSON that is already text, in pieces that are sent one after another. */
export class RawJson {
  readonly fragments: readonly (Buffer | string)[]
  constructor(fragments: readonly (Buffer | string)[]) {
    this.fragments = fragments
  }
}

/** Answers with text that is JSON already. */
export function rawJson(fragments: readonly (Buffer | string)[]): RawJson {
  return new RawJson(fragments)
}

/** JSON that is made while it is sent, since it is too long to be held. */
export class StreamedJson {
  readonly pieces: AsyncIterable<string>
  constructor(pieces: AsyncIterable<string>) {
    this.pieces = pieces
  }
}

/** Answers with JSON in pieces, each of which is asked for when the one before has gone out. One that fails cuts the answer off. */
export function streamedJson(pieces: AsyncIterable<string>): StreamedJson {
  return new StreamedJson(pieces)
}

/** An answer that needs another status than 200, or headers of its own. */
export class Reply {
  readonly body: unknown
  readonly status: number
  readonly headers: readonly string[]
  constructor(body: unknown, status: number, headers: readonly string[]) {
    this.body = body
    this.status = status
    this.headers = headers
  }
}

/** @param headers names and values in turn. */
export function reply(body: unknown, options: { status?: number; headers?: readonly string[] }): Reply {
  return new Reply(body, options.status ?? 200, options.headers ?? [])
}

/** For handlers that write the response themselves: the headers every answer has. */
export function setCommonHeaders(response: ServerResponse): void {
  for (let index = 0; index < always.length; index += 2) response.setHeader(always[index]!, always[index + 1]!)
}

/** Writes what a handler returned. `undefined`: it has written the response itself. */
export function answer(response: ServerResponse, result: unknown): void {
  if (result === undefined) return
  if (result instanceof RawJson) sendFragments(response, result.fragments)
  else if (result instanceof StreamedJson) sendPieces(response, result.pieces)
  else if (result instanceof Reply) sendJson(response, result.status, result.body, result.headers)
  else sendJson(response, 200, result)
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers?: readonly string[]): void {
  const text = JSON.stringify(body)
  response.writeHead(status, [...json, 'Content-Length', String(Buffer.byteLength(text)), ...(headers ?? [])])
  response.end(text)
}

/** @param headers names and values in turn. */
export function sendError(response: ServerResponse, error: MatrixError, headers: readonly string[] = []): void {
  const wait = error.extra.retry_after_ms
  const retry = typeof wait === 'number' ? ['Retry-After', String(Math.ceil(wait / 1000))] : []
  sendJson(response, error.status, error, [...retry, ...headers])
}

/** The answer to a preflight request. */
export function sendPreflight(response: ServerResponse): void {
  response.writeHead(204, [...always, 'Access-Control-Max-Age', '86400'])
  response.end()
}

function sendFragments(response: ServerResponse, fragments: RawJson['fragments']): void {
  let length = 0
  for (const fragment of fragments) {
    length += typeof fragment === 'string' ? Buffer.byteLength(fragment) : fragment.length
  }
  response.writeHead(200, [...json, 'Content-Length', String(length)])
  response.cork()
  for (const fragment of fragments) response.write(fragment)
  response.end()
  response.uncork()
}

function sendPieces(response: ServerResponse, pieces: AsyncIterable<string>): void {
  response.writeHead(200, json as string[])
  // Whoever asked sees that the answer does not come to its end.
  pipeline(Readable.from(pieces), response, () => {})
}
