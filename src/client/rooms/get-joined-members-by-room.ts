import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { readJoinedMembers } from '../../rooms/read-members.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/joined_members` (v1.19). */
export const getJoinedMembersByRoom = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/joined_members', '/_matrix/client/r0/rooms/{roomId}/joined_members'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  async handle(ctx, { params, requester }) {
    return rawJson(['{"joined":', ...(await readJoinedMembers(ctx, params.roomId, requester)), '}'])
  },
})
