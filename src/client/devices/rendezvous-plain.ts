import type { ServerResponse } from 'node:http'
import type { Request } from 'express'
import type { Context } from '../../context.ts'
import {
  closeRendezvous,
  findRendezvous,
  openRendezvous,
  type Rendezvous,
  writeRendezvous,
} from '../../devices/rendezvous.ts'
import { readBody, refuseForeignTypes } from '../../http/body.ts'
import { type Endpoint, endpoint } from '../../http/endpoint.ts'
import { setCommonHeaders } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { MAX_RENDEZVOUS_BYTES } from '../../matrix/limits.ts'

const path = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'
const common = {
  auth: 'none',
  raw: true,
  when: (config: Context['config']) => config.experimental.msc4108,
} as const
const one = { ...common, path: `${path}/{rendezvousId}`, rateLimit: { kind: 'rendezvous', by: 'address' } } as const

/** Spec: MSC4108 (2024), `POST /rendezvous`. */
const createPlainRendezvous = endpoint({
  ...common,
  path,
  method: 'post',
  rateLimit: { kind: 'rendezvous_creation', by: 'address' },
  async handle(ctx, { request, response, domain }) {
    const opened = await openRendezvous(ctx, await plainText(request))
    const url = `${ctx.domains.baseUrlOf(domain).replace(/\/$/, '')}${path}/${opened.id}`
    send(response, 201, opened, { type: 'application/json', body: JSON.stringify({ url }) })
  },
})

/** Spec: MSC4108 (2024), `GET <rendezvous session URL>`. */
const getPlainRendezvous = endpoint({
  ...one,
  method: 'get',
  async handle(ctx, { params, request, response }) {
    const found = await findRendezvous(ctx, params.rendezvousId)
    if (request.headers['if-none-match'] === etagOf(found)) send(response, 304, found)
    else send(response, 200, found, { type: 'text/plain', body: found.data })
  },
})

/** Spec: MSC4108 (2024), `PUT <rendezvous session URL>`. */
const putPlainRendezvous = endpoint({
  ...one,
  method: 'put',
  async handle(ctx, { params, request, response }) {
    const data = await plainText(request)
    const written = await writeRendezvous(ctx, params.rendezvousId, tokenIn(request), data)
    if (written.isWritten) return send(response, 202, written, { type: 'text/plain', body: '' })
    const error = new MatrixError('M_UNKNOWN', 'Somebody wrote meanwhile', {
      extra: { 'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE' },
    })
    return send(response, 412, written, { type: 'application/json', body: JSON.stringify(error) })
  },
})

/** Spec: MSC4108 (2024), `DELETE <rendezvous session URL>`. */
const deletePlainRendezvous = endpoint({
  ...one,
  method: 'delete',
  async handle(ctx, { params, response }) {
    await closeRendezvous(ctx, params.rendezvousId)
    setCommonHeaders(response)
    response.writeHead(204).end()
  },
})

export const plainRendezvousEndpoints: readonly Endpoint[] = [
  createPlainRendezvous,
  getPlainRendezvous,
  putPlainRendezvous,
  deletePlainRendezvous,
]

/** @throws MatrixError M_MISSING_PARAM, M_INVALID_PARAM for what is not declared as plain text; M_TOO_LARGE */
async function plainText(request: Request): Promise<Buffer> {
  refuseForeignTypes(request)
  const type = request.headers['content-type']
  if (type === undefined) throw new MatrixError('M_MISSING_PARAM', 'Content-Type is missing')
  if (!/^\s*text\/plain\s*(;|$)/i.test(type)) throw new MatrixError('M_INVALID_PARAM', 'Content-Type is not text/plain')
  return readBody(request, MAX_RENDEZVOUS_BYTES)
}

/** "we only accept strong, single-valued ETag values; anything else constitutes a malformed request". */
function tokenIn({ headers }: Request): string {
  const header = headers['if-match']
  if (header === undefined) throw new MatrixError('M_MISSING_PARAM', 'If-Match is missing')
  const token = /^"([\w-]{1,64})"$/.exec(header)?.[1]
  if (token === undefined) throw new MatrixError('M_INVALID_PARAM', 'If-Match is not one strong ETag')
  return token
}

function etagOf({ token }: Rendezvous): string {
  return `"${token}"`
}

function send(
  response: ServerResponse,
  status: number,
  found: Rendezvous,
  content?: { readonly type: string; readonly body: string | Buffer },
): void {
  setCommonHeaders(response)
  response.setHeader('ETag', etagOf(found))
  response.setHeader('Expires', new Date(found.expiresAt).toUTCString())
  response.setHeader('Last-Modified', new Date(found.modifiedAt).toUTCString())
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('Pragma', 'no-cache')
  if (content) {
    response.setHeader('Content-Type', content.type)
    response.setHeader('Content-Length', Buffer.byteLength(content.body))
  }
  response.writeHead(status).end(content?.body)
}
