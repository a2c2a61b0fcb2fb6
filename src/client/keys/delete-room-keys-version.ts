import { endpoint } from '../../http/endpoint.ts'
import { deleteKeyBackup } from '../../keys/key-backups.ts'

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/room_keys/version/{version}` (v1.19). */
export const deleteRoomKeysVersion = endpoint({
  method: 'delete',
  path: ['/_matrix/client/v3/room_keys/version/{version}', '/_matrix/client/unstable/room_keys/version/{version}'],
  auth: 'user',
  whileSuspended: true,
  async handle(ctx, { params, requester }) {
    await deleteKeyBackup(ctx, requester.userNid, params.version)
    return {}
  },
})
