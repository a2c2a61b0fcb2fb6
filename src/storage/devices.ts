import { type Database, type Db, statement, type Tx } from './database.ts'

export type DeviceRow = {
  device_id: string
  display_name: string | null
  last_seen_at: number | null
  last_seen_ip: string | null
}

const columns = ['device_id', 'display_name', 'last_seen_at', 'last_seen_ip'] as const

export function devicesOf(db: Db, userNid: number): Promise<DeviceRow[]> {
  return db.selectFrom('devices').select(columns).where('user_nid', '=', userNid).orderBy('created_at').execute()
}

export function findDevice(db: Db, userNid: number, deviceId: string): Promise<DeviceRow | undefined> {
  return db
    .selectFrom('devices')
    .select(columns)
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
}

/** Makes the device, or takes up the one that has this id; only a new one gets the display name. */
export async function upsertDevice(
  tx: Tx,
  device: { user_nid: number; device_id: string; display_name: string | null; created_at: number },
): Promise<{ isNew: boolean }> {
  const inserted = await tx
    .insertInto('devices')
    .values(device)
    .onConflict((conflict) => conflict.doNothing())
    .returning('device_id')
    .executeTakeFirst()
  return { isNew: inserted !== undefined }
}

/** @returns whether there is such a device. */
export async function renameDevice(
  db: Db,
  userNid: number,
  deviceId: string,
  displayName: string | null,
): Promise<boolean> {
  const result = await db
    .updateTable('devices')
    .set({ display_name: displayName })
    .where('user_nid', '=', userNid)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Removes devices with their tokens. @returns those that were there. */
export async function deleteDeviceRows(
  tx: Tx,
  userNid: number,
  which: { only?: readonly string[]; except?: string } = {},
): Promise<string[]> {
  let query = tx.deleteFrom('devices').where('user_nid', '=', userNid)
  if (which.only !== undefined) query = query.where('device_id', 'in', which.only.length > 0 ? which.only : [''])
  if (which.except !== undefined) query = query.where('device_id', '!=', which.except)
  const rows = await query.returning('device_id').execute()
  return rows.map((row) => row.device_id)
}

export type SeenRow = { userNid: number; deviceId: string; at: number; ip: string; agent: string | null }

const seenStatement = statement<never>(
  'update-last-seen',
  `update devices d set last_seen_at = s.at, last_seen_ip = s.ip, last_seen_agent = s.agent
   from unnest($1::integer[], $2::text[], $3::bigint[], $4::text[], $5::text[]) as s(user_nid, device_id, at, ip, agent)
   where d.user_nid = s.user_nid and d.device_id = s.device_id and coalesce(d.last_seen_at, 0) < s.at`,
)

/** Writes when and from where devices were last seen, all in one statement. */
export async function updateLastSeen(database: Database, rows: readonly SeenRow[]): Promise<void> {
  await database.read(seenStatement, [
    rows.map((row) => row.userNid),
    rows.map((row) => row.deviceId),
    rows.map((row) => row.at),
    rows.map((row) => row.ip),
    rows.map((row) => row.agent),
  ])
}
