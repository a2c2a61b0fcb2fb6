import type { UserId } from '../matrix/ids.ts'
import { type Db, statement } from './database.ts'

export type ThreepidRow = { medium: string; address: string; validated_at: number; added_at: number }

export function threepidsOf(db: Db, userNid: number): Promise<ThreepidRow[]> {
  return db
    .selectFrom('threepids')
    .select(['medium', 'address', 'validated_at', 'added_at'])
    .where('user_nid', '=', userNid)
    .orderBy('added_at')
    .execute()
}

export const userOfThreepid = statement<{ user_nid: number; user_id: UserId; deactivated_at: number | null }>(
  'user of a third-party id',
  `select t.user_nid, u.user_id, a.deactivated_at
   from threepids t join users u using (user_nid) join accounts a using (user_nid)
   where t.medium = $1 and t.address = $2`,
)

/** @returns whether it is the user's now: false when it is somebody else's. */
export async function insertThreepid(db: Db, threepid: ThreepidRow & { user_nid: number }): Promise<boolean> {
  await db
    .insertInto('threepids')
    .values(threepid)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const row = await db
    .selectFrom('threepids')
    .select('user_nid')
    .where('medium', '=', threepid.medium)
    .where('address', '=', threepid.address)
    .executeTakeFirst()
  return row?.user_nid === threepid.user_nid
}

export async function deleteThreepid(db: Db, userNid: number, medium: string, address: string): Promise<boolean> {
  const result = await db
    .deleteFrom('threepids')
    .where('user_nid', '=', userNid)
    .where('medium', '=', medium)
    .where('address', '=', address)
    .executeTakeFirst()
  return result.numDeletedRows > 0n
}

export async function deleteThreepidsOf(db: Db, userNid: number): Promise<void> {
  await db.deleteFrom('threepids').where('user_nid', '=', userNid).execute()
}
