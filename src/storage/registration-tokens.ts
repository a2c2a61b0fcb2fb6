import { sql } from 'kysely'
import type { Db, Tx } from './database.ts'

/** Whether the token could be used now: it exists, has not expired, and has uses left. */
export async function isRegistrationTokenUsable(db: Db, token: string, now: number): Promise<boolean> {
  const row = await db
    .selectFrom('registration_tokens')
    .select('token')
    .where('token', '=', token)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', now)]))
    .where(sql<boolean>`(uses_allowed is null or pending + completed < uses_allowed)`)
    .executeTakeFirst()
  return row !== undefined
}

/** Keeps one use of the token for a session. @returns whether there was one left. */
export async function holdRegistrationToken(tx: Tx, token: string, now: number): Promise<boolean> {
  const result = await tx
    .updateTable('registration_tokens')
    .set({ pending: sql`pending + 1` })
    .where('token', '=', token)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', now)]))
    .where(sql<boolean>`(uses_allowed is null or pending + completed < uses_allowed)`)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Gives kept uses back, one for each time a token is named. */
export async function releaseRegistrationTokens(db: Db, tokens: readonly string[]): Promise<void> {
  for (const token of tokens) {
    await db
      .updateTable('registration_tokens')
      .set({ pending: sql`greatest(pending - 1, 0)` })
      .where('token', '=', token)
      .execute()
  }
}

/** Uses the token, up one that was kept before if `held`. @returns whether there was a use left. */
export async function useRegistrationToken(tx: Tx, token: string, held: boolean, now: number): Promise<boolean> {
  let query = tx
    .updateTable('registration_tokens')
    .set({ completed: sql`completed + 1`, ...(held && { pending: sql`greatest(pending - 1, 0)` }) })
    .where('token', '=', token)
  if (!held) {
    query = query
      .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', now)]))
      .where(sql<boolean>`(uses_allowed is null or pending + completed < uses_allowed)`)
  }
  const result = await query.executeTakeFirst()
  return result.numUpdatedRows > 0n
}

export async function insertRegistrationToken(
  db: Db,
  token: { token: string; uses_allowed: number | null; expires_at: number | null },
): Promise<void> {
  await db.insertInto('registration_tokens').values(token).execute()
}

const columns = ['token', 'uses_allowed', 'pending', 'completed', 'expires_at'] as const

/** @param valid whether only those that can, or cannot, be used now; undefined: all. */
export function listRegistrationTokens(db: Db, now: number, valid: boolean | undefined) {
  let query = db.selectFrom('registration_tokens').select(columns).orderBy('token')
  const usable = sql<boolean>`(expires_at is null or expires_at > ${now})
    and (uses_allowed is null or pending + completed < uses_allowed)`
  if (valid !== undefined) query = query.where(valid ? usable : sql<boolean>`not (${usable})`)
  return query.execute()
}

export function findRegistrationToken(db: Db, token: string) {
  return db.selectFrom('registration_tokens').select(columns).where('token', '=', token).executeTakeFirst()
}

export async function updateRegistrationToken(
  db: Db,
  token: string,
  changes: { uses_allowed?: number | null; expires_at?: number | null },
): Promise<void> {
  if (Object.keys(changes).length === 0) return
  await db.updateTable('registration_tokens').set(changes).where('token', '=', token).execute()
}

export async function deleteRegistrationToken(db: Db, token: string): Promise<boolean> {
  const result = await db.deleteFrom('registration_tokens').where('token', '=', token).executeTakeFirst()
  return result.numDeletedRows > 0n
}
