import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type RoomAlias, type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import { powerLevelsOf } from '../matrix/power-levels.ts'
import { type Statement, statement } from '../storage/database.ts'
import { isJoined, joinedRoom } from './room-access.ts'
import { sendEvent } from './send-event.ts'

type Engine = Parameters<typeof sendEvent>[0] & Pick<Context, 'log' | 'config'>
type User = { readonly userId: UserId; readonly userNid: number }

const insertAlias = statement<{ alias: string }>(
  'insert alias',
  `insert into room_aliases (alias, room, creator, created) values ($1, $2, $3, $4) on conflict do nothing returning alias`,
)
const selectAlias = statement<{ room_id: RoomId; creator: number }>(
  'alias',
  'select room_id, creator from room_aliases join rooms using (room) where alias = $1',
)
const deleteAlias = statement<never>('delete alias', 'delete from room_aliases where alias = $1')
const selectAliases = statement<{ alias: RoomAlias }>(
  'aliases of a room',
  'select alias from room_aliases where room = $1 order by created, alias',
)
const selectPublished: Statement<{ room: number }> = statement(
  'is published',
  'select room from published_rooms where room = $1 and server_name = $2',
)
const selectPublishedAmong: Statement<{ room: number }> = statement(
  'published among',
  'select room from published_rooms where room = any($1::int[]) and server_name = $2',
)
const publish = statement<never>(
  'publish a room',
  'insert into published_rooms (server_name, room) values ($2, $1) on conflict do nothing',
)
const unpublish = statement<never>(
  'withdraw a room',
  'delete from published_rooms where room = $1 and server_name = $2',
)

/**
 * Gives a room an alias on the user's own domain.
 *
 * Spec: Client-Server API, `PUT /directory/room/{roomAlias}`.
 *
 * @throws MatrixError M_FORBIDDEN, M_INVALID_PARAM for an alias of another domain, M_UNKNOWN (409) for one that is taken.
 */
export async function createAlias(ctx: Engine, user: User, alias: RoomAlias, roomId: RoomId): Promise<void> {
  if (serverNameOf(alias) !== serverNameOf(user.userId)) {
    throw new MatrixError('M_INVALID_PARAM', 'The alias belongs to another server')
  }
  const room = await joinedRoom(ctx, roomId, user.userId)
  const [created] = await ctx.database.read(insertAlias, [alias, room.room, user.userNid, ctx.clock.now()])
  if (!created) throw new MatrixError('M_UNKNOWN', `${alias} is taken`, { status: 409 })
}

/**
 * Takes an alias away: whoever made it may, and who may change the room's canonical alias.
 *
 * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
 */
export async function removeAlias(ctx: Engine, user: User & { isAdmin: boolean }, alias: RoomAlias): Promise<void> {
  const [row] = await ctx.database.read(selectAlias, [alias])
  if (!row) throw new MatrixError('M_NOT_FOUND', `Room alias ${alias} not found`)
  const may = row.creator === user.userNid || user.isAdmin || (await mayRename(ctx, user, row.room_id))
  if (!may) throw new MatrixError('M_FORBIDDEN', 'You may not remove this alias')
  await ctx.database.read(deleteAlias, [alias])
  await forgetCanonicalAlias(ctx, user, alias, row.room_id)
}

/** An alias that leads nowhere should not be the room's name; where the user may not change it, it stays. */
async function forgetCanonicalAlias(ctx: Engine, user: User, alias: RoomAlias, roomId: RoomId): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  const content = room?.get('m.room.canonical_alias', '')?.pdu.content
  if (!content) return
  const others = Array.isArray(content.alt_aliases) ? content.alt_aliases.filter((one) => one !== alias) : undefined
  const next = { ...content, ...(others && { alt_aliases: others }) } as { alias?: string }
  if (next.alias === alias) delete next.alias
  if (JSON.stringify(next) === JSON.stringify(content)) return
  try {
    const draft = { type: 'm.room.canonical_alias', sender: user.userId, stateKey: '', content: next }
    await sendEvent(ctx, roomId, draft)
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
  }
}

async function mayRename(ctx: Engine, user: User, roomId: RoomId): Promise<boolean> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room || !(await isJoined(ctx, room, user.userId))) return false
  const levels = powerLevelsOf(
    room.get('m.room.power_levels', '')?.pdu.content,
    room.get('m.room.create', '')!,
    room.rules,
  )
  return levels.userLevel(user.userId) >= levels.requiredFor('m.room.canonical_alias', true)
}

/** @throws MatrixError M_FORBIDDEN for who may not look into the room. */
export async function aliasesOf(
  ctx: Engine & Pick<Context, 'events'>,
  user: User,
  roomId: RoomId,
): Promise<RoomAlias[]> {
  const room = await ctx.hotRooms.get(roomId)
  const isReadable = room?.get('m.room.history_visibility', '')?.pdu.content.history_visibility === 'world_readable'
  const { room: nid } = room && isReadable ? room : await joinedRoom(ctx, roomId, user.userId)
  return (await ctx.database.read(selectAliases, [nid])).map(({ alias }) => alias)
}

/**
 * Whether a room is in the public directory of a domain.
 *
 * @throws MatrixError M_NOT_FOUND
 */
export async function isPublished(ctx: Engine, roomId: RoomId, domain: string): Promise<boolean> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  return (await ctx.database.read(selectPublished, [room.room, domain])).length > 0
}

/** Those of some rooms that are in the directory of a domain. */
export async function publishedAmong(
  ctx: Pick<Engine, 'database'>,
  rooms: readonly number[],
  domain: string,
): Promise<ReadonlySet<number>> {
  if (rooms.length === 0) return new Set()
  return new Set((await ctx.database.read(selectPublishedAmong, [rooms, domain])).map(({ room }) => room))
}

/**
 * Publishes a room or withdraws it.
 *
 * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN for who may not change the room's canonical alias.
 */
export async function setPublished(
  ctx: Engine,
  user: User & { readonly isAdmin: boolean; readonly domain: string },
  roomId: RoomId,
  published: boolean,
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  if (!user.isAdmin && !(await mayRename(ctx, user, roomId))) {
    throw new MatrixError('M_FORBIDDEN', 'You may not change where this room is published')
  }
  if (published && !user.isAdmin) refuseWhereClosed(ctx)
  await ctx.database.read(published ? publish : unpublish, [room.room, user.domain])
}

/** @throws MatrixError M_FORBIDDEN where the operator lets nobody but administrators publish rooms. */
export function refuseWhereClosed(ctx: Pick<Context, 'config'>): void {
  if (ctx.config.rooms.allow_public_directory) return
  throw new MatrixError('M_FORBIDDEN', 'Rooms are not published on this server')
}
