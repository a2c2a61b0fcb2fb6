import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { parseBackedUpSessions, storeBackedUpKeys } from '../../keys/key-backups.ts'
import { MAX_BACKUP_REQUEST_BYTES } from '../../keys/limits.ts'
import { ofRoom, stateAnswer, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/room_keys/keys/{roomId}` (v1.19). */
export const putRoomKeysByRoomId = endpoint({
  method: 'put',
  path: ['/_matrix/client/v3/room_keys/keys/{roomId}', '/_matrix/client/unstable/room_keys/keys/{roomId}'],
  auth: 'user',
  whileSuspended: true,
  bodyLimit: MAX_BACKUP_REQUEST_BYTES,
  params: ofRoom,
  query: versionQuery,
  body: Type.Object({ sessions: anyObject }),
  async handle(ctx, { params, query, body, requester }) {
    const keys = parseBackedUpSessions(params.roomId, body.sessions)
    return stateAnswer(await storeBackedUpKeys(ctx, requester.userNid, query.version, keys))
  },
})
