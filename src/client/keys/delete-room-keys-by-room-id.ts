import { endpoint } from '../../http/endpoint.ts'
import { removeBackedUpKeys } from '../../keys/key-backups.ts'
import { ofRoom, stateAnswer, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/room_keys/keys/{roomId}` (v1.19). */
export const deleteRoomKeysByRoomId = endpoint({
  method: 'delete',
  path: ['/_matrix/client/v3/room_keys/keys/{roomId}', '/_matrix/client/unstable/room_keys/keys/{roomId}'],
  auth: 'user',
  whileSuspended: true,
  params: ofRoom,
  query: versionQuery,
  async handle(ctx, { params, query, requester }) {
    return stateAnswer(await removeBackedUpKeys(ctx, requester.userNid, query.version, params))
  },
})
