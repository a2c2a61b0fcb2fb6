import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { createKeyBackup } from '../../keys/key-backups.ts'
import { name } from '../text.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/room_keys/version` (v1.19). */
export const postRoomKeysVersion = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/room_keys/version', '/_matrix/client/unstable/room_keys/version'],
  auth: 'user',
  whileSuspended: true,
  body: Type.Object({ algorithm: name, auth_data: anyObject }),
  async handle(ctx, { body, requester }) {
    const backup = { algorithm: body.algorithm, authData: body.auth_data }
    return { version: await createKeyBackup(ctx, requester.userNid, backup) }
  },
})
