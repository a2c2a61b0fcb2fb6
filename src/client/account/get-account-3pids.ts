import { endpoint } from '../../http/endpoint.ts'

/**
 * No mail addresses or telephone numbers are kept, so there are none to list.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/account/3pid` (v1.19).
 */
export const getAccount3PIDs = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/account/3pid', '/_matrix/client/r0/account/3pid'],
  auth: 'user',
  handle: () => ({ threepids: [] }),
})
