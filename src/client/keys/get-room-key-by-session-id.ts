import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { readBackedUpKeys } from '../../keys/key-backups.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { keyText, ofRoom, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}` (v1.19). */
export const getRoomKeyBySessionId = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}',
    '/_matrix/client/unstable/room_keys/keys/{roomId}/{sessionId}',
  ],
  auth: 'user',
  params: ofRoom,
  query: versionQuery,
  async handle(ctx, { params, query, requester }) {
    const [key] = await readBackedUpKeys(ctx, requester.userNid, query.version, params)
    if (key === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such key in the backup')
    return rawJson([keyText(key)])
  },
})
