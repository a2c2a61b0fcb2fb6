import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { keyBackup } from '../../keys/key-backups.ts'
import { backupText } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/room_keys/version` (v1.19). */
export const getRoomKeysVersionCurrent = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/room_keys/version', '/_matrix/client/unstable/room_keys/version'],
  auth: 'user',
  async handle(ctx, { requester }) {
    return rawJson([backupText(await keyBackup(ctx, requester.userNid))])
  },
})
