import type { Endpoint } from '../../src/http/endpoint.ts'
import type { Federation } from '../federation.ts'
import { createReceiver } from '../receive/receive-transaction.ts'
import type { StagedEvents } from '../receive/staged-events.ts'
import { federationEndpoint } from './federation-endpoint.ts'

/** Fifty events of the largest size, a hundred other messages and what surrounds them. */
const bodyLimit = 12 * 1024 * 1024

/** Spec: Server-Server API, `PUT /_matrix/federation/v1/send/{txnId}` (v1.19). */
export function sendTransaction(federation: Federation, staged: StagedEvents): Endpoint {
  const receive = createReceiver(federation, staged)
  return federationEndpoint(federation, {
    method: 'put',
    path: '/_matrix/federation/v1/send/{txnId}',
    bodyLimit,
    handle: ({ origin, params, body }) => receive(origin, params.txnId!, body),
  })
}
