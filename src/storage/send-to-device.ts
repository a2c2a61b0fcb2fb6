import { statement } from './database.ts'

/**
 * The devices of those users whose accounts are in use, and whether the transaction was made before.
 *
 * Parameters: the users; the sender's number, device, scope and transaction id.
 */
export const devicesToSendTo = statement<{ user_nid: number; device_id: string; is_repeated: boolean }>(
  'devices to send to',
  `select user_nid, device_id, exists (
     select from transactions where user_nid = $2 and device_id = $3 and scope = $4 and txn_id = $5) as is_repeated
   from devices join accounts using (user_nid) where user_nid = any($1::int4[]) and deactivated_at is null`,
)

/** A row if some of these users have a device. */
export const anyDeviceOf = statement<{ user_nid: number }>(
  'any device of users',
  'select user_nid from devices where user_nid = any($1::int4[]) limit 1',
)
