import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'

/**
 * Networks that application services bridge to. There are none.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/protocols` (v1.19).
 */
export const getProtocols = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/protocols', '/_matrix/client/r0/thirdparty/protocols'],
  auth: 'user',
  handle: () => ({}),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/protocol/{protocol}` (v1.19). */
export const getProtocolMetadata = endpoint({
  method: 'get',
  path: '/_matrix/client/v3/thirdparty/protocol/{protocol}',
  auth: 'user',
  handle: unknown,
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/location/{protocol}` (v1.19). */
export const queryLocationByProtocol = endpoint({
  method: 'get',
  path: '/_matrix/client/v3/thirdparty/location/{protocol}',
  auth: 'user',
  handle: unknown,
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/user/{protocol}` (v1.19). */
export const queryUserByProtocol = endpoint({
  method: 'get',
  path: '/_matrix/client/v3/thirdparty/user/{protocol}',
  auth: 'user',
  handle: unknown,
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/location` (v1.19). */
export const queryLocationByAlias = endpoint({
  method: 'get',
  path: '/_matrix/client/v3/thirdparty/location',
  auth: 'user',
  handle: unknown,
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/user` (v1.19). */
export const queryUserByID = endpoint({
  method: 'get',
  path: '/_matrix/client/v3/thirdparty/user',
  auth: 'user',
  handle: unknown,
})

function unknown(): never {
  throw new MatrixError('M_NOT_FOUND', 'No third-party network is known here')
}
