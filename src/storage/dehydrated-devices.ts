import { statement, type Tx } from './database.ts'

/** The dehydrated devices of users (MSC3814): at most one each. */

export const dehydratedDeviceOf = statement<{ device_id: string; device_data: string }>(
  'dehydrated device',
  'select device_id, device_data from dehydrated_devices where user_nid = $1',
)

/** Those whose rows are locked stay until the transaction ends. */
export async function lockDehydratedDevice(tx: Tx, userNid: number): Promise<string | undefined> {
  const row = await tx
    .selectFrom('dehydrated_devices')
    .select('device_id')
    .where('user_nid', '=', userNid)
    .forUpdate()
    .executeTakeFirst()
  return row?.device_id
}

export async function insertDehydratedDevice(
  tx: Tx,
  row: { user_nid: number; device_id: string; device_data: string },
): Promise<void> {
  await tx.insertInto('dehydrated_devices').values(row).execute()
}
