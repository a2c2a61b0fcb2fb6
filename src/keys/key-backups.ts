import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseRoomId, type RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { Tx } from '../storage/database.ts'
import {
  type BackedUpKey,
  type BackedUpKeyRow,
  backedUpKeys,
  countBackedUpKeys,
  deleteBackedUpKeys,
  findKeyBackup,
  insertKeyBackup,
  type KeyBackupRow,
  type KeySelection,
  lastBackupVersion,
  lockKeyBackup,
  markBackupDeleted,
  saveBackedUpKeys,
  updateBackupAuthData,
} from '../storage/key-backups.ts'
import { lockAccount } from '../storage/keys.ts'
import { isObject } from './key-json.ts'
import { MAX_BACKED_UP_KEY_BYTES } from './limits.ts'

/*
 * Spec: Client-Server API, "Server-side key backups" (v1.19).
 */

type Ctx = Pick<Context, 'database'>

/** What is answered after a change of the keys. */
export type BackupState = { readonly count: number; readonly etag: string }

/** @returns the version of the new backup, which is the one to write to from now on. */
export async function createKeyBackup(
  ctx: Ctx,
  userNid: number,
  backup: { readonly algorithm: string; readonly authData: JsonObject },
): Promise<string> {
  return ctx.database.db.transaction().execute(async (tx) => {
    await lockAccount(tx, userNid)
    const version = (await lastBackupVersion(tx, userNid)) + 1
    const authData = JSON.stringify(backup.authData)
    await insertKeyBackup(tx, { user_nid: userNid, version, algorithm: backup.algorithm, auth_data: authData })
    return String(version)
  })
}

/** The backup of a version, or the newest. @throws MatrixError M_NOT_FOUND */
export async function keyBackup(ctx: Ctx, userNid: number, version?: string): Promise<KeyBackupRow> {
  const number = version === undefined ? undefined : parseVersion(version)
  return (await findKeyBackup(ctx.database.db, userNid, number)) ?? noBackup()
}

/** @throws MatrixError M_NOT_FOUND; M_INVALID_PARAM when anything but `auth_data` would change. */
export async function updateKeyBackup(
  ctx: Ctx,
  userNid: number,
  version: string,
  backup: { readonly algorithm: string; readonly authData: JsonObject; readonly version: string | undefined },
): Promise<void> {
  if (backup.version !== undefined && backup.version !== version) {
    throw new MatrixError('M_INVALID_PARAM', 'The version in the body is not the one in the path')
  }
  const number = parseVersion(version)
  await ctx.database.db.transaction().execute(async (tx) => {
    const current = (await lockKeyBackup(tx, userNid, number)) ?? noBackup()
    if (current.algorithm !== backup.algorithm) {
      throw new MatrixError('M_INVALID_PARAM', 'The algorithm of a backup cannot change')
    }
    await updateBackupAuthData(tx, userNid, number, JSON.stringify(backup.authData))
  })
}

/** Deletes a backup with its keys; one that is deleted already may be deleted again. @throws MatrixError M_NOT_FOUND */
export async function deleteKeyBackup(ctx: Ctx, userNid: number, version: string): Promise<void> {
  const number = parseVersion(version)
  const wasThere = await ctx.database.db.transaction().execute((tx) => markBackupDeleted(tx, userNid, number))
  if (!wasThere) noBackup()
}

/**
 * Stores keys in the newest backup, each where there is none yet or a worse one: three statements, however many there are.
 *
 * @throws MatrixError M_NOT_FOUND; M_WRONG_ROOM_KEYS_VERSION, with `current_version`, for an older backup.
 */
export async function storeBackedUpKeys(
  ctx: Ctx,
  userNid: number,
  version: string,
  keys: readonly BackedUpKey[],
): Promise<BackupState> {
  const number = parseVersion(version)
  return ctx.database.db.transaction().execute(async (tx) => {
    const newest = (await lockKeyBackup(tx, userNid)) ?? noBackup()
    if (newest.version !== number) {
      await refuseOldVersion(tx, userNid, number, newest.version)
    }
    const { added, replaced } = await saveBackedUpKeys(tx, userNid, number, keys)
    return added + replaced === 0 ? stateOf(newest) : stateOf(await countBackedUpKeys(tx, userNid, number, added))
  })
}

async function refuseOldVersion(tx: Tx, userNid: number, version: number, newest: number): Promise<never> {
  if ((await findKeyBackup(tx, userNid, version)) === undefined) noBackup()
  throw new MatrixError('M_WRONG_ROOM_KEYS_VERSION', 'This is not the newest backup', {
    extra: { current_version: String(newest) },
  })
}

/** Keys of a backup, by room. @throws MatrixError M_NOT_FOUND when there is no such backup. */
export async function readBackedUpKeys(
  ctx: Ctx,
  userNid: number,
  version: string,
  which: KeySelection,
): Promise<readonly BackedUpKeyRow[]> {
  const backup = await keyBackup(ctx, userNid, version)
  return backedUpKeys(ctx.database.db, userNid, backup.version, which)
}

/** @throws MatrixError M_NOT_FOUND when there is no such backup. */
export async function removeBackedUpKeys(
  ctx: Ctx,
  userNid: number,
  version: string,
  which: KeySelection,
): Promise<BackupState> {
  const number = parseVersion(version)
  return ctx.database.db.transaction().execute(async (tx) => {
    const backup = (await lockKeyBackup(tx, userNid, number)) ?? noBackup()
    const deleted = await deleteBackedUpKeys(tx, userNid, number, which)
    return stateOf(deleted === 0 ? backup : await countBackedUpKeys(tx, userNid, number, -deleted))
  })
}

/**
 * The keys of a body, `{room id: {"sessions": {session id: key}}}`.
 *
 * @throws MatrixError M_BAD_JSON, M_INVALID_PARAM, M_TOO_LARGE
 */
export function parseBackedUpRooms(rooms: JsonObject): BackedUpKey[] {
  return Object.entries(rooms).flatMap(([room, backup]) => {
    const roomId = parseRoomId(room)
    if (roomId === undefined) throw new MatrixError('M_INVALID_PARAM', 'Not a room id in rooms')
    if (!isObject(backup) || !isObject(backup.sessions)) throw bad(`rooms.${roomId}.sessions`)
    return parseBackedUpSessions(roomId, backup.sessions)
  })
}

/** The keys of a room, `{session id: key}`. @throws as `parseBackedUpRooms` */
export function parseBackedUpSessions(roomId: RoomId, sessions: JsonObject): BackedUpKey[] {
  return Object.entries(sessions).map(([sessionId, key]) => parseBackedUpKey(roomId, sessionId, key))
}

/** One key. @throws as `parseBackedUpRooms` */
export function parseBackedUpKey(roomId: RoomId, sessionId: string, key: unknown): BackedUpKey {
  if (sessionId === '' || sessionId.length > 255 || sessionId.includes('\0')) throw bad('session id')
  if (!isObject(key)) throw bad(`sessions.${sessionId}`)
  const { first_message_index: index, forwarded_count: forwarded, is_verified: isVerified, session_data: data } = key
  if (!isCount(index)) throw bad(`${sessionId}.first_message_index`)
  if (!isCount(forwarded)) throw bad(`${sessionId}.forwarded_count`)
  if (typeof isVerified !== 'boolean') throw bad(`${sessionId}.is_verified`)
  if (!isObject(data)) throw bad(`${sessionId}.session_data`)
  const sessionData = JSON.stringify(data)
  if (Buffer.byteLength(sessionData) > MAX_BACKED_UP_KEY_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `session_data has more than ${MAX_BACKED_UP_KEY_BYTES} bytes`)
  }
  return { roomId, sessionId, firstMessageIndex: index, forwardedCount: forwarded, isVerified, sessionData }
}

/** Versions are ours, so what does not look like one names no backup. */
function parseVersion(version: string): number {
  return /^[1-9]\d{0,8}$/.test(version) ? Number(version) : noBackup()
}

function stateOf(backup: { readonly etag: number; readonly key_count: number }): BackupState {
  return { count: backup.key_count, etag: String(backup.etag) }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function noBackup(): never {
  throw new MatrixError('M_NOT_FOUND', 'There is no such backup')
}

function bad(field: string): MatrixError {
  return new MatrixError('M_BAD_JSON', `Not valid: ${field.slice(0, 100)}`)
}
