import { Type } from '@sinclair/typebox'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseRoomId, type RoomId, type ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { allowedRooms, isOpen, roomSummary } from '../../src/rooms/room-summary.ts'
import { roomHere } from '../../src/rooms/rooms-elsewhere.ts'
import { childrenIn } from '../../src/rooms/space-children.ts'
import { statement } from '../../src/storage/database.ts'
import { membershipCodes } from '../../src/storage/room-users.ts'
import type { Federation } from '../federation.ts'
import { isAllowedByAcl } from '../server-acl.ts'
import { federationEndpoint } from './federation-endpoint.ts'
import { isInRoom } from './room-access.ts'

/** Children that are summarised in one answer; what is in the others is asked for by their own names. */
const mostSummarised = 200

const serverInvited = statement<{ one: number }>(
  'a server with somebody invited to a room',
  `select 1 as one from room_users join users using (user_nid)
   where room = $1 and membership = ${membershipCodes.invite}
     and substr(user_id, position(':' in user_id) + 1) = $2 limit 1`,
)

/** Spec: Server-Server API, "Spaces" (v1.19). */
export function hierarchyOperations(federation: Federation): Endpoint[] {
  return [
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/hierarchy/{roomId}',
      params: { roomId: parseRoomId },
      query: Type.Object({ suggested_only: Type.Optional(Type.Boolean()) }),
      handle: ({ origin, params, query }) =>
        spaceFor(federation, params.roomId as RoomId, origin, query.suggested_only === true),
    }),
  ]
}

async function spaceFor(
  federation: Federation,
  roomId: RoomId,
  origin: ServerName,
  suggestedOnly: boolean,
): Promise<JsonObject> {
  const { ctx } = federation
  const room = await roomHere(ctx, roomId)
  if (!room || !(await mayKnow(federation, room, origin))) throw new MatrixError('M_NOT_FOUND', 'Room not found')
  const children = await childrenIn(ctx, room, suggestedOnly)
  const summaries: JsonObject[] = []
  const inaccessible: RoomId[] = []
  for (const { child } of children.slice(0, mostSummarised)) {
    const found = await roomHere(ctx, child)
    if (!found) continue
    if (await mayKnow(federation, found, origin)) summaries.push(roomSummary(found))
    else inaccessible.push(child)
  }
  return {
    room: { ...roomSummary(room), children_state: children.map(({ event }) => event) },
    children: summaries,
    inaccessible_children: inaccessible,
  }
}

/** Whether anybody of a server could join or look into a room: which of them may is for that server to say. */
async function mayKnow({ ctx }: Federation, room: HotRoom, origin: ServerName): Promise<boolean> {
  if (!isAllowedByAcl(room, origin)) return false
  if (isOpen(room) || (await isInRoom(ctx, room, origin))) return true
  if ((await ctx.database.read(serverInvited, [room.room, origin])).length > 0) return true
  for (const roomId of allowedRooms(room)) {
    const allowed = await roomHere(ctx, roomId)
    if (allowed && (await isInRoom(ctx, allowed, origin))) return true
  }
  return false
}
