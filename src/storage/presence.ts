import { statement } from './database.ts'
import { membershipCodes } from './room-users.ts'

/** What a user said with the presence, and the rooms where it is seen. */
export const presenceOfUser = statement<{ status_msg: string | null; rooms: number[] }>(
  'presence of a user',
  `select (select status_msg from presence_statuses where user_nid = $1) as status_msg,
     array(select room from room_users where user_nid = $1 and membership = ${membershipCodes.join}) as rooms`,
)

export const savePresenceStatus = statement<never>(
  'save a presence status',
  `insert into presence_statuses (user_nid, status_msg) values ($1, $2)
   on conflict (user_nid) do update set status_msg = excluded.status_msg`,
)

export const deletePresenceStatus = statement<never>(
  'delete a presence status',
  'delete from presence_statuses where user_nid = $1',
)
