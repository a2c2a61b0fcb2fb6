import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { remoteTimeout } from '../../keys/by-server.ts'
import { claimKeys as claim } from '../../keys/claim-keys.ts'
import { deviceMap, nonEmptyText, parseUserMap } from '../../keys/user-map.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/keys/claim` (v1.19). */
export const claimKeys = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/keys/claim', '/_matrix/client/r0/keys/claim'],
  auth: 'userOrGuest',
  whileSuspended: true,
  bodyLimit: 1024 * 1024,
  body: Type.Object({ one_time_keys: Type.Unknown(), timeout: Type.Optional(Type.Integer()) }),
  async handle(ctx, { body, requester }) {
    const wanted = parseUserMap('one_time_keys', body.one_time_keys, deviceMap(nonEmptyText))
    return rawJson([await claim(ctx, wanted, remoteTimeout(body.timeout), requester.domain)])
  },
})
