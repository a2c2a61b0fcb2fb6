import type { TObject } from '@sinclair/typebox'
import type { Request, Response } from 'express'
import { jsonOf, readBody } from '../../src/http/body.ts'
import type { Endpoint, Method } from '../../src/http/endpoint.ts'
import { defineEndpoint } from '../../src/http/endpoint.ts'
import { rawJson } from '../../src/http/response.ts'
import { jsonText } from '../../src/matrix/canonical-json.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseServerName, type ServerName } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import { hasLooseNumbers } from '../../src/matrix/loose-numbers.ts'
import { verifyJson } from '../../src/matrix/signatures.ts'
import type { Federation } from '../federation.ts'
import { parseXMatrix, type XMatrix } from './x-matrix.ts'

export type FederationCall = {
  /** The server that asks: proven. */
  readonly origin: ServerName
  /** The domain of ours that is asked. */
  readonly destination: ServerName
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
  readonly body: JsonObject
  readonly request: Request
  /** For what is not answered with JSON: the handler then returns undefined. */
  readonly response: Response
}

export type FederationDeclaration = {
  readonly method: Method
  readonly path: string
  readonly params?: { readonly [name: string]: (text: string) => string | undefined }
  readonly query?: TObject
  /** Bytes. */
  readonly bodyLimit?: number
  handle(call: FederationCall): unknown
}

const defaultBodyLimit = 512 * 1024

/**
 * An operation that only servers we federate with may call. Its body is part of what they sign.
 *
 * Errors: M_UNAUTHORIZED, M_FORBIDDEN, M_LIMIT_EXCEEDED for a server that asks too much.
 */
export function federationEndpoint(federation: Federation, declaration: FederationDeclaration): Endpoint {
  const { handle, bodyLimit, ...rest } = declaration
  return defineEndpoint(
    {
      ...rest,
      raw: true,
      async handle(_ctx, call: never) {
        const { request, response, params, query } = call as unknown as {
          request: Request
          response: Response
          params: Record<string, string>
          query: Record<string, unknown>
        }
        const header = headerOf(request.headers.authorization)
        const hasBody = declaration.method === 'put' || declaration.method === 'post'
        const bytes = hasBody ? await readBody(request, bodyLimit ?? defaultBodyLimit) : undefined
        const body = bytes && jsonOf(bytes, declaration.method, 'any')
        if (body !== undefined && (typeof body !== 'object' || body === null || Array.isArray(body))) {
          throw new MatrixError('M_BAD_JSON', 'The body must be an object')
        }
        const content = body as JsonObject | undefined
        const asked = { method: request.method, uri: request.url, ...(content && { content }) }
        const parties = await authenticate(federation, header, asked)
        await federation.ctx.rateLimits.take('federation', parties.origin)
        const answer = await handle({ ...parties, params, query, body: content ?? {}, request, response })
        // Events of old room versions may have numbers that have to stay as they came.
        return hasLooseNumbers(answer) ? rawJson([jsonText(answer as Json)]) : answer
      },
    },
    (_ctx, request) => {
      headerOf(request.headers.authorization)
      return undefined
    },
  )
}

function headerOf(text: string | undefined): XMatrix {
  const header = parseXMatrix(text)
  if (header === undefined) throw unauthorized()
  return header
}

/**
 * Spec: Server-Server API, "Request Authentication" (v1.19).
 *
 * @throws MatrixError M_UNAUTHORIZED; M_FORBIDDEN for a server that is not federated with.
 */
async function authenticate(
  { ctx, keys, allowList, heardOf }: Federation,
  header: XMatrix,
  asked: { readonly method: string; readonly uri: string; readonly content?: JsonObject },
): Promise<{ origin: ServerName; destination: ServerName }> {
  const origin = parseServerName(header.origin)
  if (origin === undefined || ctx.domains.isLocal(origin)) throw unauthorized()
  if (!allowList.allows(origin, 'request')) throw new MatrixError('M_FORBIDDEN', 'This server is not federated with')
  const destination = header.destination ?? ctx.domains.default
  if (!ctx.domains.isLocal(destination)) throw unauthorized()
  const key = await keys.find(origin, header.key, ctx.clock.now())
  if (key === undefined || key.isOld) throw unauthorized()
  const signed: JsonObject = {
    ...asked,
    origin,
    ...(header.destination !== undefined && { destination }),
    signatures: { [origin]: { [header.key]: header.sig } },
  }
  if (!verifyJson(signed, origin, header.key, key.publicKey)) throw unauthorized()
  for (const hear of heardOf) hear(origin)
  return { origin, destination }
}

function unauthorized(): MatrixError {
  return new MatrixError('M_UNAUTHORIZED', 'The request is not signed by the server it comes from')
}
