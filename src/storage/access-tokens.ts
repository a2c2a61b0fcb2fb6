import type { UserId } from '../matrix/ids.ts'
import { type Database, type Db, statement, type Tx } from './database.ts'

export type TokenRow = {
  user_nid: number
  user_id: UserId
  device_id: string
  expires_at: number | null
  refresh_token: number | null
  used: boolean
  is_admin: boolean
  is_guest: boolean
  locked: boolean
  suspended: boolean
  messages_per_second: number | null
  messages_burst_count: number | null
}

const findStatement = statement<TokenRow>(
  'find-access-token',
  `select t.user_nid, u.user_id, t.device_id, t.expires_at, t.refresh_token, t.used,
          a.is_admin, a.is_guest, a.locked, a.suspended,
          a.messages_per_second, a.messages_burst_count
   from access_tokens t join users u using (user_nid) join accounts a using (user_nid)
   where t.token_hash = $1 and a.deactivated_at is null`,
)

export async function findAccessToken(database: Database, tokenHash: Buffer): Promise<TokenRow | undefined> {
  const [row] = await database.read(findStatement, [tokenHash])
  return row
}

export async function insertAccessToken(
  db: Db,
  token: {
    token_hash: Buffer
    user_nid: number
    device_id: string
    created_at: number
    expires_at: number | null
    refresh_token: number | null
  },
): Promise<void> {
  await db.insertInto('access_tokens').values(token).execute()
}

/** Notes that the token came with a request, and ends the device's earlier ones, which it replaces. */
export async function markAccessTokenUsed(
  tx: Tx,
  token: { token_hash: Buffer; user_nid: number; device_id: string; refresh_token: number },
): Promise<void> {
  await tx.updateTable('access_tokens').set({ used: true }).where('token_hash', '=', token.token_hash).execute()
  await tx
    .deleteFrom('access_tokens')
    .where('user_nid', '=', token.user_nid)
    .where('device_id', '=', token.device_id)
    .where('refresh_token', '<', token.refresh_token)
    .execute()
}

export type RefreshTokenRow = {
  refresh_token: number
  chain_hash: Buffer
  user_nid: number
  user_id: string
  device_id: string
  expires_at: number | null
  successor: number | null
}

/** Finds a refresh token and keeps others from using it until the transaction ends. */
export function lockRefreshToken(tx: Tx, tokenHash: Buffer): Promise<RefreshTokenRow | undefined> {
  return tx
    .selectFrom('refresh_tokens as r')
    .innerJoin('users as u', 'u.user_nid', 'r.user_nid')
    .innerJoin('accounts as a', 'a.user_nid', 'r.user_nid')
    .select([
      'r.refresh_token',
      'r.chain_hash',
      'r.user_nid',
      'u.user_id',
      'r.device_id',
      'r.expires_at',
      'r.successor',
    ])
    .where('r.token_hash', '=', tokenHash)
    .where('a.deactivated_at', 'is', null)
    .forUpdate('r')
    .executeTakeFirst()
}

/** The device that a chain of refresh tokens belongs to. */
export function findRefreshChain(
  tx: Tx,
  chainHash: Buffer,
): Promise<{ user_nid: number; user_id: string; device_id: string } | undefined> {
  return tx
    .selectFrom('refresh_tokens as r')
    .innerJoin('users as u', 'u.user_nid', 'r.user_nid')
    .select(['r.user_nid', 'u.user_id', 'r.device_id'])
    .where('r.chain_hash', '=', chainHash)
    .limit(1)
    .executeTakeFirst()
}

/** Whether the refresh token, or the access token given out with it, was used. */
export async function wasUsed(tx: Tx, refreshToken: number): Promise<boolean> {
  const row = await tx
    .selectFrom('refresh_tokens as r')
    .leftJoin('access_tokens as t', 't.refresh_token', 'r.refresh_token')
    .select(['r.successor', 't.used'])
    .where('r.refresh_token', '=', refreshToken)
    .executeTakeFirst()
  // Without its row it was followed by others long ago.
  return row === undefined || row.successor !== null || row.used === true
}

export async function insertRefreshToken(
  db: Db,
  token: {
    token_hash: Buffer
    chain_hash: Buffer
    user_nid: number
    device_id: string
    created_at: number
    expires_at: number | null
  },
): Promise<number> {
  const row = await db.insertInto('refresh_tokens').values(token).returning('refresh_token').executeTakeFirstOrThrow()
  return row.refresh_token
}

export async function setSuccessor(tx: Tx, refreshToken: number, successor: number): Promise<void> {
  await tx.updateTable('refresh_tokens').set({ successor }).where('refresh_token', '=', refreshToken).execute()
}

/** Takes back a refresh token that was never used, and the access token given out with it. */
export async function deleteTokenPair(tx: Tx, refreshToken: number): Promise<void> {
  await tx.deleteFrom('access_tokens').where('refresh_token', '=', refreshToken).execute()
  await tx.deleteFrom('refresh_tokens').where('refresh_token', '=', refreshToken).execute()
}

/** Forgets the refresh tokens of a device that lie more than one step back. */
export async function deleteOldRefreshTokens(
  tx: Tx,
  device: { user_nid: number; device_id: string },
  before: number,
): Promise<void> {
  await tx
    .deleteFrom('refresh_tokens')
    .where('user_nid', '=', device.user_nid)
    .where('device_id', '=', device.device_id)
    .where('refresh_token', '<', before)
    .execute()
}

export async function deleteTokensOfDevice(tx: Tx, userNid: number, deviceId: string): Promise<void> {
  for (const table of ['access_tokens', 'refresh_tokens'] as const) {
    await tx.deleteFrom(table).where('user_nid', '=', userNid).where('device_id', '=', deviceId).execute()
  }
}

export async function expireTokensOfDevice(
  db: Db,
  userNid: number,
  deviceId: string,
  expiresAt: number,
): Promise<void> {
  await db
    .updateTable('access_tokens')
    .set({ expires_at: expiresAt })
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .execute()
}
