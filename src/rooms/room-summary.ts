import type { Context } from '../context.ts'
import { parseRoomId, type RoomId, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { HotRoom } from './hot-room.ts'
import { isJoined } from './room-access.ts'

/** The state, all with an empty state key, that says what a room is to those outside. */
export const summaryTypes = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.canonical_alias',
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.encryption',
] as const

export type SummaryType = (typeof summaryTypes)[number]

/** What a summary is made of: the contents of the state, where it is set. */
export type SummarySource = {
  readonly roomId: RoomId
  readonly joinedMembers: number
  content(type: SummaryType): JsonObject | undefined
}

export function sourceOf(room: HotRoom): SummarySource {
  return {
    roomId: room.roomId,
    joinedMembers: room.joinedMembers,
    content: (type) => room.get(type, '')?.pdu.content,
  }
}

/** A room as the directory lists it. Spec: Client-Server API, "Published room directory", `PublishedRoomsChunk`. */
export function publishedRoom(source: SummarySource): { [key: string]: Json } & { room_id: RoomId } {
  const texts = {
    canonical_alias: source.content('m.room.canonical_alias')?.alias,
    name: source.content('m.room.name')?.name,
    topic: plainTopic(source.content('m.room.topic')),
    avatar_url: source.content('m.room.avatar')?.url,
    join_rule: source.content('m.room.join_rules')?.join_rule,
    room_type: source.content('m.room.create')?.type,
  }
  return {
    ...Object.fromEntries(Object.entries(texts).filter(([, text]) => typeof text === 'string' && text !== '')),
    room_id: source.roomId,
    num_joined_members: source.joinedMembers,
    world_readable: isWorldReadable(source),
    guest_can_join: source.content('m.room.guest_access')?.guest_access === 'can_join',
  } as { [key: string]: Json } & { room_id: RoomId }
}

/** As `publishedRoom`, with what only a summary has. Spec: Client-Server API, `RoomSummary`. */
export function roomSummary(room: HotRoom): { [key: string]: Json } & { room_id: RoomId } {
  const source = sourceOf(room)
  const encryption = source.content('m.room.encryption')?.algorithm
  const allowed = allowedRooms(room)
  return {
    ...publishedRoom(source),
    ...(allowed.length > 0 && { allowed_room_ids: allowed }),
    ...(typeof encryption === 'string' && { encryption }),
    room_version: room.rules.version,
  }
}

/**
 * Whether somebody may know what a room is: who is in it or may come in by asking or at once, and everybody where the
 * history is world-readable.
 *
 * Spec: Client-Server API, `GET /rooms/{roomId}/hierarchy`, `rooms` (v1.19).
 */
export async function maySummarise(
  ctx: Pick<Context, 'hotRooms'>,
  room: HotRoom,
  userId: UserId | undefined,
): Promise<boolean> {
  if (isWorldReadable(sourceOf(room))) return true
  const membership = userId && (await membershipIn(ctx, room, userId))
  if (membership === 'ban') return false
  if (membership === 'join' || membership === 'invite') return true
  if (isOpen(room)) return true
  if (userId === undefined) return false
  for (const roomId of allowedRooms(room)) {
    const other = await ctx.hotRooms.get(roomId)
    if (other && (await isJoined(ctx, other, userId))) return true
  }
  return false
}

/** Whether anybody may know what a room is, unless they are banned: its history is for all, or they may join or knock. */
export function isOpen(room: HotRoom): boolean {
  const source = sourceOf(room)
  const joinRule = source.content('m.room.join_rules')?.join_rule
  const { auth } = room.rules
  return (
    isWorldReadable(source) ||
    joinRule === 'public' ||
    (joinRule === 'knock' && auth.knock) ||
    (joinRule === 'knock_restricted' && auth.knockRestricted)
  )
}

/** The membership of a user, from memory when the room is warm. */
export async function membershipIn(
  ctx: Pick<Context, 'hotRooms'>,
  room: HotRoom,
  userId: UserId,
): Promise<string | undefined> {
  await ctx.hotRooms.load(room, [['m.room.member', userId]])
  const membership = room.get('m.room.member', userId)?.pdu.content.membership
  return typeof membership === 'string' ? membership : undefined
}

/** Rooms named by a join rule; more of them are not followed. */
const maxAllowedRooms = 50

/** The rooms whose members may join. Spec: Client-Server API, "Restricted rooms". */
export function allowedRooms(room: HotRoom): RoomId[] {
  const content = sourceOf(room).content('m.room.join_rules')
  const { rules } = room
  const isRestricted =
    (content?.join_rule === 'restricted' && rules.auth.restrictedJoin) ||
    (content?.join_rule === 'knock_restricted' && rules.auth.knockRestricted)
  if (!isRestricted || !Array.isArray(content?.allow)) return []
  const ids = content.allow.slice(0, maxAllowedRooms).flatMap((rule) => {
    const { type, room_id: roomId } = (rule ?? {}) as { type?: Json; room_id?: Json }
    return type === 'm.room_membership' && typeof roomId === 'string' ? (parseRoomId(roomId) ?? []) : []
  })
  return [...new Set(ids)]
}

function isWorldReadable(source: SummarySource): boolean {
  return source.content('m.room.history_visibility')?.history_visibility === 'world_readable'
}

/** "Omitted if no text/plain mimetype exists in m.room.topic." */
function plainTopic(content: JsonObject | undefined): Json | undefined {
  const block = content?.['m.topic'] as { 'm.text'?: Json } | undefined
  const texts = block?.['m.text']
  if (!Array.isArray(texts)) return content?.topic
  for (const text of texts) {
    const { body, mimetype } = (text ?? {}) as { body?: Json; mimetype?: Json }
    if (typeof body === 'string' && (mimetype === undefined || mimetype === 'text/plain')) return body
  }
  return content?.topic
}
