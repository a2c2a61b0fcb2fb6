import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { updateKeyBackup } from '../../keys/key-backups.ts'
import { name } from '../text.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/room_keys/version/{version}` (v1.19). */
export const putRoomKeysVersion = endpoint({
  method: 'put',
  path: ['/_matrix/client/v3/room_keys/version/{version}', '/_matrix/client/unstable/room_keys/version/{version}'],
  auth: 'user',
  whileSuspended: true,
  body: Type.Object({ algorithm: name, auth_data: anyObject, version: Type.Optional(Type.String()) }),
  async handle(ctx, { params, body, requester }) {
    const backup = { algorithm: body.algorithm, authData: body.auth_data, version: body.version }
    await updateKeyBackup(ctx, requester.userNid, params.version, backup)
    return {}
  },
})
