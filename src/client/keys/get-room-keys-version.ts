import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { keyBackup } from '../../keys/key-backups.ts'
import { backupText } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/room_keys/version/{version}` (v1.19). */
export const getRoomKeysVersion = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/room_keys/version/{version}', '/_matrix/client/unstable/room_keys/version/{version}'],
  auth: 'user',
  async handle(ctx, { params, requester }) {
    return rawJson([backupText(await keyBackup(ctx, requester.userNid, params.version))])
  },
})
