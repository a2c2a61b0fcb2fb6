import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseRoomId, type RoomId, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { statement } from '../storage/database.ts'
import type { HotRoom } from './hot-room.ts'
import { maySummarise, roomSummary } from './room-summary.ts'

/** Rooms in one answer. */
const maxLimit = 50
/** Spaces within one another. */
const maxDepthEver = 50
/** Rooms of a tree that are looked at, however many pages there are. */
const maxVisited = 5000
/** Children of one space, in their order. */
const maxChildren = 1000

type ChildRow = { state_key: string; sender: UserId; content: string; origin_server_ts: number }

const childrenOf = statement<ChildRow>(
  'children of a space',
  `select k.state_key, u.user_id as sender, e.content, e.origin_server_ts
   from room_state s join event_kinds k using (kind) join events e using (event_nid)
   join users u on u.user_nid = e.sender
   where s.room = $1 and s.to_position is null and not s.is_member and k.type = 'm.space.child'`,
)

export type HierarchyQuery = {
  readonly suggestedOnly: boolean
  readonly maxDepth?: number | undefined
  readonly limit?: number | undefined
  readonly from?: string | undefined
}

/**
 * A page of the rooms below a space, depth first, as far as the user may know of them.
 *
 * Every page walks the tree from its root and leaves out what earlier ones had: nothing is remembered in between, so any
 * process can serve any page, and what the user may see is decided anew.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v1/rooms/{roomId}/hierarchy` (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN for a space the user may not look into, M_INVALID_PARAM for a token of other
 *   parameters.
 */
export async function spaceHierarchy(
  ctx: Pick<Context, 'database' | 'hotRooms'>,
  roomId: RoomId,
  userId: UserId,
  query: HierarchyQuery,
): Promise<JsonObject> {
  const limit = Math.min(Math.max(query.limit ?? maxLimit, 1), maxLimit)
  const maxDepth = Math.min(Math.max(query.maxDepth ?? maxDepthEver, 0), maxDepthEver)
  const skip = parseToken(query, maxDepth)
  const root = await visible(ctx, roomId, userId)
  if (!root) throw new MatrixError('M_FORBIDDEN', 'You may not look into this room')

  const rooms: JsonObject[] = []
  const seen = new Set<RoomId>([roomId])
  const stack: { room: RoomId; depth: number }[] = [{ room: roomId, depth: 0 }]
  let position = 0
  for (let visited = 0; stack.length > 0 && visited < maxVisited; visited++) {
    const next = stack.pop()!
    const room = await visible(ctx, next.room, userId)
    if (!room) continue
    if (position >= skip + limit) return { rooms, next_batch: tokenOf(query, maxDepth, position) }
    const children = await childrenIn(ctx, room, query.suggestedOnly)
    if (position++ >= skip) rooms.push({ ...roomSummary(room), children_state: children.map(({ event }) => event) })
    if (next.depth >= maxDepth) continue
    // The first child is to be the next one, so it goes on top.
    for (const { child } of children.toReversed()) {
      if (seen.has(child)) continue
      seen.add(child)
      stack.push({ room: child, depth: next.depth + 1 })
    }
  }
  return { rooms }
}

async function visible(ctx: Pick<Context, 'hotRooms'>, roomId: RoomId, userId: UserId): Promise<HotRoom | undefined> {
  const room = await ctx.hotRooms.get(roomId)
  return room && (await maySummarise(ctx, room, userId)) ? room : undefined
}

type Child = { readonly child: RoomId; readonly order: string | undefined; readonly event: JsonObject }

/** The valid children of a space in the order in which clients show them; none of any other room. */
async function childrenIn(ctx: Pick<Context, 'database'>, room: HotRoom, suggestedOnly: boolean): Promise<Child[]> {
  if (room.get('m.room.create', '')?.pdu.content.type !== 'm.space') return []
  const rows = await ctx.database.read(childrenOf, [room.room])
  const children = rows.flatMap((row) => childOf(row, suggestedOnly) ?? [])
  return children.sort(compareChildren).slice(0, maxChildren)
}

/** "If not present [`via`], the child room is not considered a valid child": Client-Server API, `m.space.child`. */
function childOf(row: ChildRow, suggestedOnly: boolean): Child | undefined {
  const child = parseRoomId(row.state_key)
  const content = JSON.parse(row.content) as JsonObject
  if (child === undefined || !isListOfTexts(content.via)) return undefined
  if (suggestedOnly && content.suggested !== true) return undefined
  const { order } = content
  return {
    child,
    order: typeof order === 'string' && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined,
    event: {
      type: 'm.space.child',
      state_key: child,
      content,
      sender: row.sender,
      origin_server_ts: row.origin_server_ts,
    },
  }
}

/** Spec: Client-Server API, "Ordering of children within a space". */
function compareChildren(a: Child, b: Child): number {
  if (a.order !== b.order) {
    if (a.order === undefined) return 1
    if (b.order === undefined) return -1
    return a.order < b.order ? -1 : 1
  }
  const [earlier, later] = [a.event.origin_server_ts as number, b.event.origin_server_ts as number]
  return earlier - later || (a.child < b.child ? -1 : 1)
}

function isListOfTexts(value: Json | undefined): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
}

function tokenOf(query: HierarchyQuery, maxDepth: number, position: number): string {
  return `${position}_${maxDepth}_${query.suggestedOnly ? 1 : 0}`
}

/** How many rooms earlier pages had. */
function parseToken(query: HierarchyQuery, maxDepth: number): number {
  if (query.from === undefined) return 0
  const position = Number(/^(\d{1,4})_/.exec(query.from)?.[1])
  if (query.from !== tokenOf(query, maxDepth, position)) {
    throw new MatrixError('M_INVALID_PARAM', 'from: not a token that was given for these parameters')
  }
  return position
}
