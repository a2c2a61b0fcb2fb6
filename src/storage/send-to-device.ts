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
