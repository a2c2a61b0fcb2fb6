import { statement } from './database.ts'

/** The devices of those users whose accounts are in use. */
export const devicesToSendTo = statement<{ user_nid: number; device_id: string }>(
  'devices to send to',
  `select user_nid, device_id from devices join accounts using (user_nid)
   where user_nid = any($1::int4[]) and deactivated_at is null`,
)

export const findTransaction = statement<{ found: number }>(
  'find transaction',
  'select 1 as found from transactions where user_nid = $1 and device_id = $2 and scope = $3 and txn_id = $4',
)
