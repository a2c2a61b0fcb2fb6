import { isDeleted } from '../../account-data/account-data.ts'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { paginate } from '../../rooms/paginate.ts'
import { readState } from '../../rooms/read-state.ts'
import { viewRoom } from '../../rooms/room-access.ts'
import { isPublished } from '../../rooms/room-directory.ts'
import { statement } from '../../storage/database.ts'
import { roomEventFilterOf } from '../../sync/filters.ts'

/** The newest events of the room. */
const limit = 20

const roomAccountData = statement<{ type: string; content: string }>(
  'account data of a room',
  'select type, content from account_data where user_nid = $1 and room = $2',
)

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/initialSync`, deprecated (v1.19). */
export const roomInitialSync = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/initialSync', '/_matrix/client/r0/rooms/{roomId}/initialSync'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  async handle(ctx, { params: { roomId }, requester }) {
    const view = await viewRoom(ctx, roomId, requester.userId)
    const request = { from: undefined, to: undefined, backwards: true, limit, filter: roomEventFilterOf(undefined) }
    const [page, state, published, data] = await Promise.all([
      paginate(ctx, roomId, requester, request),
      readState(ctx, roomId, requester),
      isPublished(ctx, roomId, requester.domain),
      ctx.database.read(roomAccountData, [requester.userNid, view.room.room]),
    ])
    const membership = view.membership === undefined ? '' : `"membership":${JSON.stringify(view.membership)},`
    const start = page.end === undefined ? '' : `"start":"${page.end}",`
    const accountData = data
      .filter((row) => !isDeleted(ctx, row))
      .map(({ type, content }) => `{"type":${JSON.stringify(type)},"content":${content}}`)
    return rawJson([
      `{"room_id":${JSON.stringify(roomId)},${membership}"visibility":"${published ? 'public' : 'private'}",`,
      `"messages":{${start}"end":"${page.start}","chunk":[${page.events.toReversed().join(',')}]},`,
      `"state":[${state.join(',')}],"account_data":[${accountData.join(',')}]}`,
    ])
  },
})
