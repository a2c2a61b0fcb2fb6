import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { MatrixError } from '../matrix/errors.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { parseJson } from '../matrix/strict-json.ts'

/** The client went away before its request was complete: nobody is there to answer. */
export class RequestAborted extends Error {
  override readonly name = 'RequestAborted'
}

const empty = Buffer.alloc(0)

/**
 * Refuses what is no JSON by its declared type, before a byte of it is read.
 *
 * Many clients send JSON as `text/plain`, as a form or without a type, so only what certainly is something else is
 * refused.
 *
 * @throws MatrixError 415.
 */
export function refuseForeignTypes(request: IncomingMessage): void {
  const type = request.headers['content-type']
  const encoding = request.headers['content-encoding']
  if (type !== undefined && /^\s*multipart\//i.test(type)) {
    throw new MatrixError('M_UNKNOWN', 'This endpoint takes JSON', { status: 415 })
  }
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new MatrixError('M_UNKNOWN', 'Bodies must not be compressed', { status: 415 })
  }
}

/**
 * Reads a body of at most `limit` bytes.
 *
 * @throws MatrixError M_TOO_LARGE as soon as the length is known to be greater; RequestAborted.
 */
export function readBody(request: IncomingMessage, limit: number): Buffer | Promise<Buffer> {
  const declared = request.headers['content-length']
  if (declared === undefined && request.headers['transfer-encoding'] === undefined) return empty
  if (declared === '0') return empty
  if (declared !== undefined && Number(declared) > limit) return Promise.reject(tooLarge(limit))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > limit) {
        request.removeAllListeners('data')
        request.pause()
        reject(tooLarge(limit))
        return
      }
      chunks.push(chunk)
    })
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)))
    request.on('error', () => reject(new RequestAborted()))
    request.on('close', () => {
      if (!request.complete) reject(new RequestAborted())
    })
  })
}

/**
 * The body as JSON. An absent body stands for an empty object where clients leave it out: everywhere but in PUT.
 *
 * @throws MatrixError M_NOT_JSON, M_BAD_JSON
 */
export function jsonOf(body: Buffer, method: string, integers: 'strict' | 'any'): Json {
  if (body.length === 0 && method !== 'put') return Object.create(null) as JsonObject
  if (!isUtf8(body)) throw new MatrixError('M_NOT_JSON', 'The body is not UTF-8')
  return parseJson(body.toString('utf8'), { integers })
}

function tooLarge(limit: number): MatrixError {
  return new MatrixError('M_TOO_LARGE', `The body is larger than ${limit} bytes`)
}
