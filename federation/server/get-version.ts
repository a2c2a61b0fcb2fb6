import { defineEndpoint, type Endpoint } from '../../src/http/endpoint.ts'

/** Spec: Server-Server API, `GET /_matrix/federation/v1/version` (v1.19). */
export const getVersion: Endpoint = defineEndpoint(
  {
    method: 'get',
    path: '/_matrix/federation/v1/version',
    handle: () => ({ server: { name: 'Chappe' } }),
  },
  () => undefined,
)
