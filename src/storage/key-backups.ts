import { sql } from 'kysely'
import type { RoomId } from '../matrix/ids.ts'
import type { Db, Tx } from './database.ts'

export type KeyBackupRow = {
  version: number
  algorithm: string
  /** JSON text. */
  auth_data: string
  etag: number
  key_count: number
}

export type BackedUpKey = {
  readonly roomId: RoomId
  readonly sessionId: string
  readonly firstMessageIndex: number
  readonly forwardedCount: number
  readonly isVerified: boolean
  /** JSON text. */
  readonly sessionData: string
}

export type BackedUpKeyRow = {
  room_id: string
  session_id: string
  first_message_index: number
  forwarded_count: number
  is_verified: boolean
  session_data: string
}

/** Which keys of a backup: all, those of a room, or one. */
export type KeySelection = { readonly roomId?: RoomId; readonly sessionId?: string }

const columns = ['version', 'algorithm', 'auth_data', 'etag', 'key_count'] as const

/** The newest backup, or the one of a version, unless it is deleted. */
export function findKeyBackup(db: Db, userNid: number, version?: number): Promise<KeyBackupRow | undefined> {
  return selectBackups(db, userNid, version).executeTakeFirst()
}

/** {@link findKeyBackup}, and holds off other changes of it. */
export function lockKeyBackup(tx: Tx, userNid: number, version?: number): Promise<KeyBackupRow | undefined> {
  return selectBackups(tx, userNid, version).forUpdate().executeTakeFirst()
}

function selectBackups(db: Db, userNid: number, version: number | undefined) {
  const query = db
    .selectFrom('key_backups')
    .select(columns)
    .where('user_nid', '=', userNid)
    .where('deleted', '=', false)
  return version === undefined ? query.orderBy('version', 'desc').limit(1) : query.where('version', '=', version)
}

/** Deleted ones are counted too, or their number would be given out again. */
export async function lastBackupVersion(tx: Tx, userNid: number): Promise<number> {
  const row = await tx
    .selectFrom('key_backups')
    .select((all) => all.fn.max('version').as('version'))
    .where('user_nid', '=', userNid)
    .executeTakeFirst()
  return (row?.version as number | null | undefined) ?? 0
}

export async function insertKeyBackup(
  tx: Tx,
  row: { user_nid: number; version: number; algorithm: string; auth_data: string },
): Promise<void> {
  await tx.insertInto('key_backups').values(row).execute()
}

export async function updateBackupAuthData(tx: Tx, userNid: number, version: number, authData: string): Promise<void> {
  await tx
    .updateTable('key_backups')
    .set({ auth_data: authData })
    .where('user_nid', '=', userNid)
    .where('version', '=', version)
    .execute()
}

/** @returns whether there was such a backup, deleted before or now. */
export async function markBackupDeleted(tx: Tx, userNid: number, version: number): Promise<boolean> {
  const row = await tx
    .updateTable('key_backups')
    .set({ deleted: true, key_count: 0, auth_data: '{}' })
    .where('user_nid', '=', userNid)
    .where('version', '=', version)
    .returning('version')
    .executeTakeFirst()
  if (row) await deleteBackedUpKeys(tx, userNid, version, {})
  return row !== undefined
}

/**
 * Stores keys where there is none yet or a worse one. Spec: Client-Server API, "Server-side key backups".
 *
 * @returns how many were added and how many replaced another.
 */
export async function saveBackedUpKeys(
  tx: Tx,
  userNid: number,
  version: number,
  keys: readonly BackedUpKey[],
): Promise<{ added: number; replaced: number }> {
  if (keys.length === 0) return { added: 0, replaced: 0 }
  const { rows } = await sql<{ is_new: boolean }>`
    insert into backed_up_keys as old (user_nid, version, room_id, session_id, first_message_index, forwarded_count,
      is_verified, session_data)
    select ${userNid}::int4, ${version}::int4, k.* from unnest(
      ${keys.map((key) => key.roomId)}::text[], ${keys.map((key) => key.sessionId)}::text[],
      ${keys.map((key) => key.firstMessageIndex)}::int8[], ${keys.map((key) => key.forwardedCount)}::int8[],
      ${keys.map((key) => key.isVerified)}::bool[], ${keys.map((key) => key.sessionData)}::text[]) as k
    on conflict (user_nid, version, room_id, session_id) do update set
      first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
      is_verified = excluded.is_verified, session_data = excluded.session_data
    where (not excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
      < (not old.is_verified, old.first_message_index, old.forwarded_count)
    returning old.xmax = 0 as is_new`.execute(tx)
  const added = rows.filter((row) => row.is_new).length
  return { added, replaced: rows.length - added }
}

/** @returns how many there were. */
export async function deleteBackedUpKeys(
  tx: Tx,
  userNid: number,
  version: number,
  which: KeySelection,
): Promise<number> {
  let query = tx.deleteFrom('backed_up_keys').where('user_nid', '=', userNid).where('version', '=', version)
  if (which.roomId !== undefined) query = query.where('room_id', '=', which.roomId)
  if (which.sessionId !== undefined) query = query.where('session_id', '=', which.sessionId)
  const result = await query.executeTakeFirst()
  return Number(result.numDeletedRows)
}

export async function countBackedUpKeys(
  tx: Tx,
  userNid: number,
  version: number,
  change: number,
): Promise<{ etag: number; key_count: number }> {
  return tx
    .updateTable('key_backups')
    .set((row) => ({ etag: row('etag', '+', 1), key_count: row('key_count', '+', change) }))
    .where('user_nid', '=', userNid)
    .where('version', '=', version)
    .returning(['etag', 'key_count'])
    .executeTakeFirstOrThrow()
}

export function backedUpKeys(db: Db, userNid: number, version: number, which: KeySelection): Promise<BackedUpKeyRow[]> {
  let query = db
    .selectFrom('backed_up_keys')
    .select(['room_id', 'session_id', 'first_message_index', 'forwarded_count', 'is_verified', 'session_data'])
    .where('user_nid', '=', userNid)
    .where('version', '=', version)
  if (which.roomId !== undefined) query = query.where('room_id', '=', which.roomId)
  if (which.sessionId !== undefined) query = query.where('session_id', '=', which.sessionId)
  return query.orderBy('room_id').execute()
}
