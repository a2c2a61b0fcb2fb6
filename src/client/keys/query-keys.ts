import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { remoteTimeout } from '../../keys/by-server.ts'
import { queryKeys as query } from '../../keys/query-keys.ts'
import { deviceList, parseUserMap } from '../../keys/user-map.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/keys/query` (v1.19). */
export const queryKeys = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/keys/query', '/_matrix/client/r0/keys/query'],
  auth: 'userOrGuest',
  whileSuspended: true,
  bodyLimit: 1024 * 1024,
  body: Type.Object({ device_keys: Type.Unknown(), timeout: Type.Optional(Type.Integer()) }),
  async handle(ctx, { body, requester }) {
    const wanted = parseUserMap('device_keys', body.device_keys, deviceList)
    return rawJson([await query(ctx, requester, wanted, remoteTimeout(body.timeout))])
  },
})
