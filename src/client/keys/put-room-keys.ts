import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { parseBackedUpRooms, storeBackedUpKeys } from '../../keys/key-backups.ts'
import { MAX_BACKUP_REQUEST_BYTES } from '../../keys/limits.ts'
import { stateAnswer, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/room_keys/keys` (v1.19). */
export const putRoomKeys = endpoint({
  method: 'put',
  path: ['/_matrix/client/v3/room_keys/keys', '/_matrix/client/unstable/room_keys/keys'],
  auth: 'user',
  whileSuspended: true,
  bodyLimit: MAX_BACKUP_REQUEST_BYTES,
  query: versionQuery,
  body: Type.Object({ rooms: anyObject }),
  async handle(ctx, { query, body, requester }) {
    const keys = parseBackedUpRooms(body.rooms)
    return stateAnswer(await storeBackedUpKeys(ctx, requester.userNid, query.version, keys))
  },
})
