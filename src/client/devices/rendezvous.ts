import { Type } from '@sinclair/typebox'
import type { Request } from 'express'
import type { Context } from '../../context.ts'
import { closeRendezvous, findRendezvous, openRendezvous, writeRendezvous } from '../../devices/rendezvous.ts'
import { type Endpoint, endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'

const path = '/_matrix/client/unstable/io.element.msc4388/rendezvous'
const when = (config: Context['config']) => config.experimental.msc4388
const bodyLimit = 32 * 1024

const start = { path, when, auth: 'optional' } as const
/** Whoever knows the id. */
const one = { path: `${path}/{rendezvousId}`, when, auth: 'none' } as const
const reading = { rateLimit: { kind: 'rendezvous', by: 'address' } } as const

/** Spec: MSC4388, `GET /rendezvous`: only users begin a meeting. */
const discoverRendezvous = endpoint({
  ...start,
  ...reading,
  method: 'get',
  handle: (_ctx, { requester }) => ({ create_available: requester !== undefined }),
})

/** Spec: MSC4388, `POST /rendezvous`. */
const createRendezvous = endpoint({
  ...start,
  method: 'post',
  rateLimit: { kind: 'rendezvous_creation', by: 'address' },
  bodyLimit,
  body: Type.Object({ data: Type.String() }),
  async handle(ctx, { body, requester }) {
    if (!requester) throw new MatrixError('M_FORBIDDEN', 'Only users can begin a rendezvous session')
    const { id, token, expiresAt } = await openRendezvous(ctx, Buffer.from(body.data))
    return { id, sequence_token: token, expires_in_ms: expiresAt - ctx.clock.now() }
  },
})

/** Spec: MSC4388, `GET /rendezvous/{rendezvousId}`. */
const getRendezvous = endpoint({
  ...one,
  ...reading,
  method: 'get',
  async handle(ctx, { params, request }) {
    refuseNavigation(request)
    const { data, token, expiresAt } = await findRendezvous(ctx, params.rendezvousId)
    return { data: data.toString('utf8'), sequence_token: token, expires_in_ms: expiresAt - ctx.clock.now() }
  },
})

/** Spec: MSC4388, `PUT /rendezvous/{rendezvousId}`: the same again is answered as it was the first time. */
const putRendezvous = endpoint({
  ...one,
  ...reading,
  method: 'put',
  bodyLimit,
  body: Type.Object({ sequence_token: Type.String(), data: Type.String() }),
  async handle(ctx, { params, body }) {
    const data = Buffer.from(body.data)
    const written = await writeRendezvous(ctx, params.rendezvousId, body.sequence_token, data)
    if (!written.isWritten && !written.data.equals(data)) {
      throw new MatrixError('IO_ELEMENT_MSC4388_CONCURRENT_WRITE', 'Somebody wrote meanwhile')
    }
    return { sequence_token: written.token }
  },
})

/** Spec: MSC4388, `DELETE /rendezvous/{rendezvousId}`. */
const deleteRendezvous = endpoint({
  ...one,
  ...reading,
  method: 'delete',
  async handle(ctx, { params }) {
    await closeRendezvous(ctx, params.rendezvousId)
    return {}
  },
})

export const rendezvousEndpoints: readonly Endpoint[] = [
  discoverRendezvous,
  createRendezvous,
  getRendezvous,
  putRendezvous,
  deleteRendezvous,
]

/** Spec: MSC4388, "Unsafe content": nobody shall be sent to an address of ours where a stranger has written something. */
function refuseNavigation({ headers }: Request): void {
  if (headers['sec-fetch-mode'] !== 'navigate' && headers['sec-fetch-dest'] !== 'document') return
  throw new MatrixError('M_FORBIDDEN', 'This is not for browsers to show')
}
