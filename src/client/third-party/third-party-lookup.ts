import { Type } from '@sinclair/typebox'
import {
  locationsOfAlias,
  protocolOf,
  protocolsOf,
  searchProtocol,
  usersOfUser,
} from '../../application-services/third-party-networks.ts'
import { endpoint } from '../../http/endpoint.ts'
import type { QueryTexts } from '../../http/query-string.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { JsonObject } from '../../matrix/json.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/protocols` (v1.19). */
export const getProtocols = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/protocols', '/_matrix/client/r0/thirdparty/protocols'],
  auth: 'user',
  handle: (ctx) => protocolsOf(ctx),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/protocol/{protocol}` (v1.19). */
export const getProtocolMetadata = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/protocol/{protocol}', '/_matrix/client/r0/thirdparty/protocol/{protocol}'],
  auth: 'user',
  async handle(ctx, { params }) {
    const protocol = await protocolOf(ctx, params.protocol)
    if (!protocol) throw new MatrixError('M_NOT_FOUND', 'This protocol is not known here')
    return protocol
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/location/{protocol}` (v1.19). */
export const queryLocationByProtocol = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/location/{protocol}', '/_matrix/client/r0/thirdparty/location/{protocol}'],
  auth: 'user',
  handle: async (ctx, { params, query }) =>
    found(await searchProtocol(ctx, 'location', params.protocol, fieldsOf(query as unknown as QueryTexts))),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/user/{protocol}` (v1.19). */
export const queryUserByProtocol = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/user/{protocol}', '/_matrix/client/r0/thirdparty/user/{protocol}'],
  auth: 'user',
  handle: async (ctx, { params, query }) =>
    found(await searchProtocol(ctx, 'user', params.protocol, fieldsOf(query as unknown as QueryTexts))),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/location` (v1.19). */
export const queryLocationByAlias = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/location', '/_matrix/client/r0/thirdparty/location'],
  auth: 'user',
  query: Type.Object({ alias: Type.String() }),
  handle: async (ctx, { query }) => found(await locationsOfAlias(ctx, query.alias)),
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/thirdparty/user` (v1.19). */
export const queryUserByID = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/thirdparty/user', '/_matrix/client/r0/thirdparty/user'],
  auth: 'user',
  query: Type.Object({ userid: Type.String() }),
  handle: async (ctx, { query }) => found(await usersOfUser(ctx, query.userid)),
})

function found(results: readonly JsonObject[]): readonly JsonObject[] {
  if (results.length > 0) return results
  throw new MatrixError('M_NOT_FOUND', 'Nothing was found')
}

/** What the client looks for; who it is, is nobody else's business. */
const ofTheRequest: ReadonlySet<string> = new Set(['access_token', 'user_id', 'device_id'])

function fieldsOf(texts: QueryTexts): URLSearchParams {
  const fields = new URLSearchParams()
  for (const [name, values] of texts) {
    if (!ofTheRequest.has(name)) for (const value of values) fields.append(name, value)
  }
  return fields
}
