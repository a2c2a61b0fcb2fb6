import { sql } from 'kysely'
import { statement, type Tx } from './database.ts'

export type OneTimeKey = {
  readonly algorithm: string
  readonly keyId: string
  /** JSON text of the key. */
  readonly content: string
  /** Of the key without its signatures. */
  readonly digest: Buffer
}

export type KeyCountRow = { algorithm: string; unclaimed: number; unused_fallback: boolean }

/** Algorithms of which a device has one-time keys, or a fallback key that is not used. */
export const keyCountsOf = statement<KeyCountRow>(
  'key counts of a device',
  `select algorithm, sum(unclaimed)::int4 as unclaimed, bool_or(unused_fallback) as unused_fallback from (
     select algorithm, count(*) as unclaimed, false as unused_fallback from one_time_keys
     where user_nid = $1 and device_id = $2 group by algorithm
     union all
     select algorithm, 0, true from fallback_keys where user_nid = $1 and device_id = $2 and not used) as counts
   group by algorithm order by algorithm`,
)

/** Unclaimed keys by algorithm, in a transaction. */
export async function countOneTimeKeys(tx: Tx, userNid: number, deviceId: string): Promise<Map<string, number>> {
  const rows = await tx
    .selectFrom('one_time_keys')
    .select(['algorithm', (all) => all.fn.countAll<number>().as('unclaimed')])
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .groupBy('algorithm')
    .execute()
  return new Map(rows.map((row) => [row.algorithm, Number(row.unclaimed)]))
}

/** The first of the keys whose id is in use for another value. */
export async function findConflictingKey(
  tx: Tx,
  userNid: number,
  deviceId: string,
  keys: readonly OneTimeKey[],
): Promise<{ algorithm: string; key_id: string } | undefined> {
  const { rows } = await sql<{ algorithm: string; key_id: string }>`
    select o.algorithm, o.key_id from ${rowsOf(keys)} join one_time_keys o using (algorithm, key_id)
    where o.user_nid = ${userNid} and o.device_id = ${deviceId} and o.digest <> k.digest limit 1`.execute(tx)
  return rows[0]
}

/**
 * Stores the keys that are new. One statement sees either that a key is there or that it was claimed, so a claim at the
 * same moment cannot bring a key back.
 */
export async function insertOneTimeKeys(
  tx: Tx,
  userNid: number,
  deviceId: string,
  keys: readonly OneTimeKey[],
): Promise<void> {
  await sql`
    insert into one_time_keys (user_nid, device_id, algorithm, key_id, content, digest)
    select ${userNid}::int4, ${deviceId}::text, k.algorithm, k.key_id, k.content, k.digest from ${rowsOf(keys)}
    where not exists (select from one_time_keys o where o.user_nid = ${userNid} and o.device_id = ${deviceId}
        and o.algorithm = k.algorithm and o.key_id = k.key_id)
      and not exists (select from claimed_keys c where c.user_nid = ${userNid} and c.device_id = ${deviceId}
        and c.digest = k.digest)`.execute(tx)
}

function rowsOf(keys: readonly OneTimeKey[]) {
  return sql`unnest(${keys.map((key) => key.algorithm)}::text[], ${keys.map((key) => key.keyId)}::text[],
    ${keys.map((key) => key.content)}::text[], ${keys.map((key) => key.digest)}::bytea[])
    as k(algorithm, key_id, content, digest)`
}

/** Replaces fallback keys. The same key again stays used if it was. */
export async function saveFallbackKeys(
  tx: Tx,
  userNid: number,
  deviceId: string,
  keys: readonly OneTimeKey[],
): Promise<void> {
  await tx
    .insertInto('fallback_keys')
    .values(
      keys.map(({ algorithm, keyId, content, digest }) => ({
        user_nid: userNid,
        device_id: deviceId,
        algorithm,
        key_id: keyId,
        content,
        digest,
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['user_nid', 'device_id', 'algorithm']).doUpdateSet({
        key_id: (row) => row.ref('excluded.key_id'),
        content: (row) => row.ref('excluded.content'),
        digest: (row) => row.ref('excluded.digest'),
        used: sql`fallback_keys.used and fallback_keys.digest = excluded.digest`,
      }),
    )
    .execute()
}

export async function deleteOldClaims(tx: Tx, userNid: number, deviceId: string, before: number): Promise<void> {
  await tx
    .deleteFrom('claimed_keys')
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .where('claimed_at', '<', before)
    .execute()
}

/** Keys signed by an identity that the device no longer has are of use to nobody. */
export async function deleteKeysToClaim(tx: Tx, userNid: number, deviceId: string): Promise<void> {
  await tx.deleteFrom('one_time_keys').where('user_nid', '=', userNid).where('device_id', '=', deviceId).execute()
  await tx.deleteFrom('fallback_keys').where('user_nid', '=', userNid).where('device_id', '=', deviceId).execute()
}

export type ClaimedKeyRow = {
  user_nid: number
  device_id: string
  algorithm: string
  key_id: string
  content: string
  is_fallback: boolean
  /** Whether something changed that the device is told: a key less, or the fallback key's first use. */
  is_news: boolean
}

/**
 * Takes one key for each (user, device, algorithm): the oldest one-time key, or the fallback key when none is left.
 * Concurrent claims step over each other's rows, and a key that was returned is gone with the same commit.
 *
 * Parameters: three arrays without duplicates, and the time.
 */
export const claimOneTimeKeys = statement<ClaimedKeyRow>(
  'claim one-time keys',
  `with wanted as (
     select * from unnest($1::int4[], $2::text[], $3::text[]) as w(user_nid, device_id, algorithm)),
   picked as materialized (
     select k.* from wanted w cross join lateral (
       select user_nid, device_id, algorithm, key_id from one_time_keys o
       where o.user_nid = w.user_nid and o.device_id = w.device_id and o.algorithm = w.algorithm
       order by o.uploaded limit 1 for update skip locked) k),
   claimed as (
     delete from one_time_keys o using picked p
     where o.user_nid = p.user_nid and o.device_id = p.device_id and o.algorithm = p.algorithm and o.key_id = p.key_id
     returning o.*),
   remembered as (
     insert into claimed_keys (user_nid, device_id, digest, claimed_at)
     select user_nid, device_id, digest, $4::int8 from claimed on conflict do nothing),
   fallback as (
     select f.* from fallback_keys f join wanted using (user_nid, device_id, algorithm)
     where not exists (select from claimed c where c.user_nid = f.user_nid and c.device_id = f.device_id
       and c.algorithm = f.algorithm)),
   unmarked as materialized (
     select f.user_nid, f.device_id, f.algorithm from fallback_keys f
     where not f.used and (f.user_nid, f.device_id, f.algorithm) in (
       select user_nid, device_id, algorithm from fallback)
     for no key update skip locked),
   marked as (
     update fallback_keys f set used = true from unmarked u
     where f.user_nid = u.user_nid and f.device_id = u.device_id and f.algorithm = u.algorithm)
   select user_nid, device_id, algorithm, key_id, content, false as is_fallback, true as is_news from claimed
   union all
   select user_nid, device_id, algorithm, key_id, content, true, not used from fallback`,
)
