import type { Db } from './database.ts'

export async function insertOneTimeToken(
  db: Db,
  token: { kind: 'login' | 'nonce'; token_hash: Buffer; user_nid: number | null; expires_at: number },
): Promise<void> {
  await db.insertInto('one_time_tokens').values(token).execute()
}

/** Takes the token away; only one caller gets it. @returns the user it stands for, and nothing if it is not valid. */
export async function takeOneTimeToken(
  db: Db,
  token: { kind: 'login' | 'nonce'; token_hash: Buffer; now: number },
): Promise<{ user_nid: number | null } | undefined> {
  const row = await db
    .deleteFrom('one_time_tokens')
    .where('kind', '=', token.kind)
    .where('token_hash', '=', token.token_hash)
    .returning(['user_nid', 'expires_at'])
    .executeTakeFirst()
  return row === undefined || row.expires_at <= token.now ? undefined : row
}

export async function deleteExpiredOneTimeTokens(db: Db, now: number): Promise<void> {
  await db.deleteFrom('one_time_tokens').where('expires_at', '<=', now).execute()
}
