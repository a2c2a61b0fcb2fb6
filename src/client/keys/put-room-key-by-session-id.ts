import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { parseBackedUpKey, storeBackedUpKeys } from '../../keys/key-backups.ts'
import { ofRoom, stateAnswer, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}` (v1.19). */
export const putRoomKeyBySessionId = endpoint({
  method: 'put',
  path: [
    '/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}',
    '/_matrix/client/unstable/room_keys/keys/{roomId}/{sessionId}',
  ],
  auth: 'user',
  whileSuspended: true,
  params: ofRoom,
  query: versionQuery,
  body: anyObject,
  async handle(ctx, { params, query, body, requester }) {
    const key = parseBackedUpKey(params.roomId, params.sessionId, body)
    return stateAnswer(await storeBackedUpKeys(ctx, requester.userNid, query.version, [key]))
  },
})
