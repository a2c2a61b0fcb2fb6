import type { Context } from '../context.ts'
import { parseRoomId, parseServerName, type RoomId, type ServerName, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { statement } from '../storage/database.ts'
import type { HotRoom } from './hot-room.ts'

/** Children of one space, in their order. */
const maxChildren = 1000
/** Servers that a child names to be reached through. */
const maxVia = 10

type ChildRow = { state_key: string; sender: UserId; content: string; origin_server_ts: number }

const childrenOf = statement<ChildRow>(
  'children of a space',
  `select k.state_key, u.user_id as sender, e.content, e.origin_server_ts
   from room_state s join event_kinds k using (kind) join events e using (event_nid)
   join users u on u.user_nid = e.sender
   where s.room = $1 and s.to_position is null and not s.is_member and k.type = 'm.space.child'`,
)

/** A child as the events of a space say it. */
export type ChildEvent = {
  readonly stateKey: string
  readonly sender: UserId
  readonly content: JsonObject
  readonly originServerTs: number
}

export type SpaceChild = {
  readonly child: RoomId
  readonly via: readonly ServerName[]
  readonly order: string | undefined
  /** Spec: Client-Server API, `SpaceHierarchyRoomsChunk`, `children_state`. */
  readonly event: JsonObject
}

/** The valid children of a room in the order in which clients show them; none of what is no space. */
export async function childrenIn(
  ctx: Pick<Context, 'database'>,
  room: HotRoom,
  suggestedOnly: boolean,
): Promise<SpaceChild[]> {
  if (room.get('m.room.create', '')?.pdu.content.type !== 'm.space') return []
  const rows = await ctx.database.read(childrenOf, [room.room])
  const events = rows.map((row) => ({
    stateKey: row.state_key,
    sender: row.sender,
    content: JSON.parse(row.content) as JsonObject,
    originServerTs: row.origin_server_ts,
  }))
  return validChildren(events, suggestedOnly)
}

/**
 * Of the events of a space those that name a child, in their order.
 *
 * Spec: Client-Server API, "Managing rooms within a space", "Ordering of children within a space".
 */
export function validChildren(events: readonly ChildEvent[], suggestedOnly: boolean): SpaceChild[] {
  const children = events.flatMap((event) => childOf(event, suggestedOnly) ?? [])
  return children.sort(compareChildren).slice(0, maxChildren)
}

/** "If not present [`via`], the child room is not considered a valid child": Client-Server API, `m.space.child`. */
function childOf(told: ChildEvent, suggestedOnly: boolean): SpaceChild | undefined {
  const child = parseRoomId(told.stateKey)
  const { content } = told
  if (child === undefined || !isListOfTexts(content.via)) return undefined
  if (suggestedOnly && content.suggested !== true) return undefined
  const { order, via } = content
  return {
    child,
    via: via.slice(0, maxVia).flatMap((server) => parseServerName(server) ?? []),
    order: typeof order === 'string' && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined,
    event: {
      type: 'm.space.child',
      state_key: child,
      content,
      sender: told.sender,
      origin_server_ts: told.originServerTs,
    },
  }
}

function compareChildren(a: SpaceChild, b: SpaceChild): number {
  if (a.order !== b.order) {
    if (a.order === undefined) return 1
    if (b.order === undefined) return -1
    return a.order < b.order ? -1 : 1
  }
  const [earlier, later] = [a.event.origin_server_ts as number, b.event.origin_server_ts as number]
  return earlier - later || (a.child < b.child ? -1 : 1)
}

function isListOfTexts(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
}
