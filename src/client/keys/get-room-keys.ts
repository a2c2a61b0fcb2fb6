import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { readBackedUpKeys } from '../../keys/key-backups.ts'
import type { BackedUpKeyRow } from '../../storage/key-backups.ts'
import { sessionsText, versionQuery } from './key-backup-schemas.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/room_keys/keys` (v1.19). */
export const getRoomKeys = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/room_keys/keys', '/_matrix/client/unstable/room_keys/keys'],
  auth: 'user',
  query: versionQuery,
  async handle(ctx, { query, requester }) {
    const rooms = new Map<string, BackedUpKeyRow[]>()
    for (const key of await readBackedUpKeys(ctx, requester.userNid, query.version, {})) {
      const ofRoom = rooms.get(key.room_id)
      if (ofRoom) ofRoom.push(key)
      else rooms.set(key.room_id, [key])
    }
    const pieces = ['{"rooms":{']
    for (const [roomId, keys] of rooms) {
      pieces.push(`${pieces.length === 1 ? '' : ','}${JSON.stringify(roomId)}:`, ...sessionsText(keys))
    }
    return rawJson([...pieces, '}}'])
  },
})
