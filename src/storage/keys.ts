import { sql } from 'kysely'
import { type Db, statement, type Tx } from './database.ts'

export type Usage = 'master' | 'self_signing' | 'user_signing'

/** `content`: canonical JSON without `signatures` and `unsigned`. */
export type DeviceKeysRow = { user_nid: number; device_id: string; content: string }
export type CrossSigningKeyRow = { user_nid: number; usage: Usage; public_key: string; content: string }
export type KeySignatureRow = {
  target_nid: number
  target_key: string
  signer_nid: number
  signer_key: string
  signature: string
}

/** The devices of users that can be encrypted to. */
export const deviceKeysOf = statement<DeviceKeysRow & { display_name: string | null }>(
  'device keys of users',
  `select k.user_nid, k.device_id, k.content, d.display_name
   from device_keys k join devices d using (user_nid, device_id) where k.user_nid = any($1::int4[])`,
)

export const crossSigningKeysOf = statement<CrossSigningKeyRow>(
  'cross-signing keys of users',
  'select user_nid, usage, public_key, content from cross_signing_keys where user_nid = any($1::int4[])',
)

const signatureColumns = 'target_nid, target_key, signer_nid, signer_key, signature'

/** Signatures of users on their own keys. */
export const ownKeySignaturesOf = statement<KeySignatureRow>(
  'signatures of users on their own keys',
  `select ${signatureColumns} from key_signatures where target_nid = any($1::int4[]) and signer_nid = target_nid`,
)

/** Signatures of a user on the keys of others. */
export const signaturesOnOthersBy = statement<KeySignatureRow>(
  'signatures of a user on keys of others',
  `select ${signatureColumns} from key_signatures where signer_nid = $1 and target_nid <> $1`,
)

/** Holds off other changes of the device's keys. @returns whether there is such a device. */
export async function lockDevice(tx: Tx, userNid: number, deviceId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('devices')
    .select('device_id')
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** Holds off other changes of the user's cross-signing keys and backups. @returns whether there is such a user of ours. */
export async function lockAccount(tx: Tx, userNid: number): Promise<boolean> {
  const row = await tx
    .selectFrom('accounts')
    .select('user_nid')
    .where('user_nid', '=', userNid)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

export async function findDeviceKeys(tx: Tx, userNid: number, deviceId: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('device_keys')
    .select('content')
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return row?.content
}

export async function saveDeviceKeys(tx: Tx, row: DeviceKeysRow): Promise<void> {
  await tx
    .insertInto('device_keys')
    .values(row)
    .onConflict((conflict) => conflict.columns(['user_nid', 'device_id']).doUpdateSet({ content: row.content }))
    .execute()
}

export function crossSigningKeys(tx: Tx, userNid: number): Promise<CrossSigningKeyRow[]> {
  return tx.selectFrom('cross_signing_keys').selectAll().where('user_nid', '=', userNid).execute() as Promise<
    CrossSigningKeyRow[]
  >
}

export async function saveCrossSigningKey(tx: Tx, row: CrossSigningKeyRow): Promise<void> {
  await tx
    .insertInto('cross_signing_keys')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['user_nid', 'usage']).doUpdateSet({ public_key: row.public_key, content: row.content }),
    )
    .execute()
}

export async function deleteCrossSigningKeys(tx: Tx, userNid: number, usages: readonly Usage[]): Promise<void> {
  await tx.deleteFrom('cross_signing_keys').where('user_nid', '=', userNid).where('usage', 'in', usages).execute()
}

/** Which of the names are device ids of the user. */
export async function devicesNamed(db: Db, userNid: number, names: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('devices')
    .select('device_id')
    .where('user_nid', '=', userNid)
    .where('device_id', 'in', names)
    .execute()
  return rows.map((row) => row.device_id)
}

/** A signature takes the place of an earlier one by the same key. @returns how many are new. */
export async function saveKeySignatures(db: Db, rows: readonly KeySignatureRow[]): Promise<number> {
  if (rows.length === 0) return 0
  const result = await sql`
    insert into key_signatures (target_nid, target_key, signer_nid, signer_key, signature)
    select * from unnest(${rows.map((row) => row.target_nid)}::int4[], ${rows.map((row) => row.target_key)}::text[],
      ${rows.map((row) => row.signer_nid)}::int4[], ${rows.map((row) => row.signer_key)}::text[],
      ${rows.map((row) => row.signature)}::text[])
    on conflict (target_nid, target_key, signer_nid, signer_key) do update set signature = excluded.signature
    where key_signatures.signature <> excluded.signature`.execute(db)
  return Number(result.numAffectedRows ?? 0n)
}

/** Forgets the signatures on keys of a user, and those made with them. `names` are device ids or public keys. */
export async function deleteSignaturesOfKeys(tx: Tx, userNid: number, names: readonly string[]): Promise<void> {
  await tx
    .deleteFrom('key_signatures')
    .where((row) =>
      row.or([
        row.and([row('target_nid', '=', userNid), row('target_key', 'in', names)]),
        row.and([
          row('signer_nid', '=', userNid),
          row(
            'signer_key',
            'in',
            names.map((name) => `ed25519:${name}`),
          ),
        ]),
      ]),
    )
    .execute()
}

/** @returns those of the devices that had keys. */
export async function deviceIdsWithKeys(tx: Tx, userNid: number, deviceIds: readonly string[]): Promise<string[]> {
  if (deviceIds.length === 0) return []
  const rows = await tx
    .selectFrom('device_keys')
    .select('device_id')
    .where('user_nid', '=', userNid)
    .where('device_id', 'in', deviceIds)
    .execute()
  return rows.map((row) => row.device_id)
}

/** Devices that are about to be removed; nobody adds keys to them meanwhile. */
export async function lockDevices(
  tx: Tx,
  userNid: number,
  which: { only?: readonly string[]; except?: string },
): Promise<string[]> {
  let query = tx.selectFrom('devices').select('device_id').where('user_nid', '=', userNid)
  if (which.only !== undefined) query = query.where('device_id', 'in', which.only.length > 0 ? which.only : [''])
  if (which.except !== undefined) query = query.where('device_id', '!=', which.except)
  const rows = await query.orderBy('device_id').forUpdate().execute()
  return rows.map((row) => row.device_id)
}

/** Forgets the messages that wait for devices, and which of their keys were claimed. */
export async function deleteLeftovers(tx: Tx, userNid: number, deviceIds: readonly string[]): Promise<void> {
  for (const table of ['to_device', 'claimed_keys'] as const) {
    await tx.deleteFrom(table).where('user_nid', '=', userNid).where('device_id', 'in', deviceIds).execute()
  }
}

// -- changes of device lists that are not on the stream yet ---------------------------------------------------------

export async function insertUnannounced(tx: Tx, userNid: number): Promise<void> {
  await tx.insertInto('unannounced_device_lists').values({ user_nid: userNid }).execute()
}

/** The last change of the user that is committed and waits to be announced. */
export const lastUnannounced = statement<{ change: number | null }>(
  'last unannounced device list',
  'select max(change) as change from unannounced_device_lists where user_nid = $1',
)

export const deleteUnannounced = statement<never>(
  'delete unannounced device lists',
  'delete from unannounced_device_lists where user_nid = $1 and change <= $2',
)

export const usersUnannounced = statement<{ user_nid: number }>(
  'users with unannounced device lists',
  'select distinct user_nid from unannounced_device_lists',
)
