import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { readBackedUpKeys } from '../../keys/key-backups.ts'
import { ofRoom, sessionsText, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/room_keys/keys/{roomId}` (v1.19). */
export const getRoomKeysByRoomId = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/room_keys/keys/{roomId}', '/_matrix/client/unstable/room_keys/keys/{roomId}'],
  auth: 'user',
  params: ofRoom,
  query: versionQuery,
  async handle(ctx, { params, query, requester }) {
    return rawJson(sessionsText(await readBackedUpKeys(ctx, requester.userNid, query.version, params)))
  },
})
