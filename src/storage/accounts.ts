import type { UserId } from '../matrix/ids.ts'
import type { Db, Tx } from './database.ts'

export type AccountRow = {
  user_nid: number
  user_id: UserId
  password_hash: string | null
  is_admin: boolean
  is_guest: boolean
  locked: boolean
  suspended: boolean
  deactivated_at: number | null
}

const columns = [
  'a.user_nid',
  'u.user_id',
  'a.password_hash',
  'a.is_admin',
  'a.is_guest',
  'a.locked',
  'a.suspended',
  'a.deactivated_at',
] as const

export async function findAccount(db: Db, userId: UserId): Promise<AccountRow | undefined> {
  return (await selectAccounts(db).where('u.user_id', '=', userId).executeTakeFirst()) as AccountRow | undefined
}

export async function findAccountByNid(db: Db, userNid: number): Promise<AccountRow | undefined> {
  return (await selectAccounts(db).where('a.user_nid', '=', userNid).executeTakeFirst()) as AccountRow | undefined
}

function selectAccounts(db: Db) {
  return db.selectFrom('accounts as a').innerJoin('users as u', 'u.user_nid', 'a.user_nid').select(columns)
}

/** @returns whether the account is new; an existing one is left as it is. */
export async function insertAccount(
  tx: Tx,
  account: {
    user_nid: number
    password_hash: string | null
    is_admin: boolean
    is_guest: boolean
    created_at: number
    deactivated_at: null
    terms_version: string | null
  },
): Promise<boolean> {
  const inserted = await tx
    .insertInto('accounts')
    .values(account)
    .onConflict((conflict) => conflict.doNothing())
    .returning('user_nid')
    .executeTakeFirst()
  return inserted !== undefined
}

/** Makes the account of a guest one of a user. @returns whether it was a guest's until now. */
export async function endGuesthood(
  tx: Tx,
  account: { user_nid: number; password_hash: string | null; terms_version: string | null },
): Promise<boolean> {
  const { user_nid: userNid, ...changes } = account
  const row = await tx
    .updateTable('accounts')
    .set({ ...changes, is_guest: false })
    .where('user_nid', '=', userNid)
    .where('is_guest', '=', true)
    .where('deactivated_at', 'is', null)
    .returning('user_nid')
    .executeTakeFirst()
  return row !== undefined
}

export async function insertProfile(tx: Tx, userNid: number, fields: { displayname: string }): Promise<void> {
  await tx
    .insertInto('profiles')
    .values({ user_nid: userNid, fields: JSON.stringify(fields) })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function updatePasswordHash(db: Db, userNid: number, passwordHash: string): Promise<void> {
  await db.updateTable('accounts').set({ password_hash: passwordHash }).where('user_nid', '=', userNid).execute()
}

/** @returns whether the account was active until now. */
export async function markDeactivated(tx: Tx, userNid: number, at: number, erased: boolean): Promise<boolean> {
  const row = await tx
    .updateTable('accounts')
    .set({ password_hash: null, deactivated_at: at, erased })
    .where('user_nid', '=', userNid)
    .where('deactivated_at', 'is', null)
    .returning('user_nid')
    .executeTakeFirst()
  return row !== undefined
}

export async function updateAccountFlags(
  db: Db,
  userNid: number,
  flags: { is_admin?: boolean; locked?: boolean; suspended?: boolean },
): Promise<void> {
  await db.updateTable('accounts').set(flags).where('user_nid', '=', userNid).execute()
}

/** Deactivated users who still have one of the memberships in a room. */
export async function deactivatedUsersInRooms(
  db: Db,
  memberships: readonly number[],
): Promise<{ userId: UserId; userNid: number }[]> {
  const rows = await db
    .selectFrom('accounts as a')
    .innerJoin('users as u', 'u.user_nid', 'a.user_nid')
    .select(['a.user_nid', 'u.user_id'])
    .where('a.deactivated_at', 'is not', null)
    .where((where) =>
      where.exists(
        where
          .selectFrom('room_users as r')
          .select('r.room')
          .whereRef('r.user_nid', '=', 'a.user_nid')
          .where('r.membership', 'in', memberships),
      ),
    )
    .execute()
  return rows.map((row) => ({ userId: row.user_id as UserId, userNid: row.user_nid }))
}
