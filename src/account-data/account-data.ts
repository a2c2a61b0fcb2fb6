import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { Unit } from '../storage/batch.ts'
import type { Fact } from '../storage/stream.ts'
import { oneAccountData, presentAccountData, saveAccountData } from '../storage/user-data.ts'

/** Account data of a user: for the account when `room` is 0, else for a room. Spec: Client-Server API, "Client Config". */
export type AccountDataKey = { readonly userNid: number; readonly room: number; readonly type: string }

/** Types that the server keeps itself: clients set them through endpoints of their own. */
const reserved: ReadonlySet<string> = new Set(['m.fully_read', 'm.push_rules'])

/** @throws MatrixError M_BAD_JSON (405) for a type that only the server sets. */
export function refuseReservedType(type: string): void {
  if (!reserved.has(type)) return
  throw new MatrixError('M_BAD_JSON', `${type} is set through an endpoint of its own`, { status: 405 })
}

/** The unit that writes account data: JSON text or a value. */
export function accountDataUnit(key: AccountDataKey, content: string): Unit<void> {
  return {
    positions: 1,
    write(batch, position) {
      batch.add(saveAccountData, { user_nid: key.userNid, room: key.room, type: key.type, content, position })
      batch.fact({ kind: 'accountData', position, ...key, content } satisfies Fact)
    },
  }
}

export async function setAccountData(
  ctx: Pick<Context, 'writer'>,
  key: AccountDataKey,
  content: JsonObject,
): Promise<void> {
  await ctx.writer.write(accountDataUnit(key, JSON.stringify(content)))
}

/** Account data is deleted by what is empty, so that devices hear of it (MSC3391). */
const deleted = '{}'

/** Whether account data is such that it is told to who knows it, and is not there for anybody else. */
export function isDeleted(
  { config }: Pick<Context, 'config'>,
  { type, content }: { readonly type: string; readonly content: string },
): boolean {
  return config.experimental.msc3391 && content === deleted && !reserved.has(type)
}

/** Deletes those of some types of account data that are there. Spec: MSC3391. */
export async function deleteAccountData(
  ctx: Pick<Context, 'database' | 'writer'>,
  { userNid, room }: { readonly userNid: number; readonly room: number },
  types: readonly string[],
): Promise<void> {
  const present = await ctx.database.read(presentAccountData, [userNid, room, types])
  await Promise.all(present.map(({ type }) => ctx.writer.write(accountDataUnit({ userNid, room, type }, deleted))))
}

export async function getAccountData(
  ctx: Pick<Context, 'config' | 'database'>,
  key: AccountDataKey,
): Promise<JsonObject | undefined> {
  const [row] = await ctx.database.read(oneAccountData, [key.userNid, key.room, key.type])
  if (!row || isDeleted(ctx, { type: key.type, content: row.content })) return undefined
  return JSON.parse(row.content) as JsonObject
}

/**
 * The number of the room that account data is for. Any room id is a place for account data, but one that is not known
 * here is stored for nobody to read, so it is refused.
 *
 * @throws MatrixError M_NOT_FOUND
 */
export async function roomNumber(ctx: Pick<Context, 'hotRooms'>, roomId: RoomId): Promise<number> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  return room.room
}

const tags = 'm.tag'
const mostTags = 100

/**
 * Changes the tags of a room. Spec: Client-Server API, "Room Tagging".
 *
 * @param change Gets the tags as they are, gives them as they shall be.
 */
export async function changeTags(
  ctx: Pick<Context, 'accountDataChanges' | 'hotRooms'>,
  userNid: number,
  roomId: RoomId,
  change: (tags: Map<string, Json>) => void,
): Promise<void> {
  const key = { userNid, room: await roomNumber(ctx, roomId), type: tags }
  await ctx.accountDataChanges.change(key, (stored) => {
    const current = tagsIn(stored === undefined ? undefined : (JSON.parse(stored) as JsonObject))
    change(current)
    if (current.size > mostTags) throw new MatrixError('M_INVALID_PARAM', 'Too many tags')
    return JSON.stringify({ tags: Object.fromEntries(current) })
  })
}

export async function getTags(
  ctx: Pick<Context, 'config' | 'database' | 'hotRooms'>,
  userNid: number,
  roomId: RoomId,
): Promise<Map<string, Json>> {
  return tagsIn(await getAccountData(ctx, { userNid, room: await roomNumber(ctx, roomId), type: tags }))
}

function tagsIn(content: JsonObject | undefined): Map<string, Json> {
  return new Map(Object.entries((content?.tags ?? {}) as JsonObject))
}
