import { parseRoomId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { ToldRoom } from '../../src/rooms/ports.ts'

const published = ['name', 'topic', 'avatar_url', 'canonical_alias', 'join_rule', 'room_type'] as const
const summarised = [...published, 'encryption', 'room_version'] as const
const mostAllowedRooms = 50

/** A room of another server's directory. Undefined for what is no room. */
export function publishedRoomIn(told: Json | undefined): ToldRoom | undefined {
  return roomIn(told, published)
}

/** The same with what only a summary has. Spec: Client-Server API, `RoomSummary`. */
export function summaryIn(told: Json | undefined): ToldRoom | undefined {
  const room = roomIn(told, summarised)
  const allowed = roomIdsIn((told as JsonObject)?.allowed_room_ids, mostAllowedRooms)
  return room && allowed.length > 0 ? ({ ...room, allowed_room_ids: allowed } as ToldRoom) : room
}

export function roomIdsIn(told: Json | undefined, most: number) {
  if (!Array.isArray(told)) return []
  return told.slice(0, most).flatMap((one: Json) => (typeof one === 'string' ? (parseRoomId(one) ?? []) : []))
}

function roomIn(told: Json | undefined, texts: readonly string[]): ToldRoom | undefined {
  if (typeof told !== 'object' || told === null || Array.isArray(told)) return undefined
  const entry = told as JsonObject
  const roomId = typeof entry.room_id === 'string' ? parseRoomId(entry.room_id) : undefined
  if (roomId === undefined) return undefined
  const members = entry.num_joined_members
  return {
    ...Object.fromEntries(texts.flatMap((name) => (typeof entry[name] === 'string' ? [[name, entry[name]]] : []))),
    room_id: roomId,
    num_joined_members: Number.isSafeInteger(members) ? (members as number) : 0,
    world_readable: entry.world_readable === true,
    guest_can_join: entry.guest_can_join === true,
  } as unknown as ToldRoom
}
