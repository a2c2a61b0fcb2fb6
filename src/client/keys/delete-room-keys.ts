import { endpoint } from '../../http/endpoint.ts'
import { removeBackedUpKeys } from '../../keys/key-backups.ts'
import { stateAnswer, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/room_keys/keys` (v1.19). */
export const deleteRoomKeys = endpoint({
  method: 'delete',
  path: ['/_matrix/client/v3/room_keys/keys', '/_matrix/client/unstable/room_keys/keys'],
  auth: 'user',
  whileSuspended: true,
  query: versionQuery,
  async handle(ctx, { query, requester }) {
    return stateAnswer(await removeBackedUpKeys(ctx, requester.userNid, query.version, {}))
  },
})
