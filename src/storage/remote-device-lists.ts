import { statement } from './database.ts'
import { membershipCodes } from './room-users.ts'

/**
 * Devices and keys of other servers' users. Their servers tell of changes only while a room is shared, so what is remembered
 * counts only if one has been shared all the time since. Whoever is told of a change asks at once, so the change itself makes
 * what was known before it void; the row goes a moment later.
 */
export const remoteDeviceLists = statement<{ user_nid: number; content: string }>(
  'remote device lists',
  `select l.user_nid, l.content from remote_device_lists l where l.user_nid = any($1::int[])
   and not exists (select from device_list_changes c where c.user_nid = l.user_nid and c.position > l.position)
   and exists (select from room_users r where r.user_nid = l.user_nid and r.membership = ${membershipCodes.join}
     and r.since <= l.position
     and exists (select from room_users o join accounts a on a.user_nid = o.user_nid
       where o.room = r.room and o.membership = ${membershipCodes.join} and o.since <= l.position))`,
)

/** Unless something changed since they were asked for. Parameters: the user, the content, the position of then. */
export const saveRemoteDeviceList = statement<never>(
  'save remote device list',
  `insert into remote_device_lists (user_nid, content, position) select $1::int, $2, $3::int8
   where not exists (select from device_list_changes where user_nid = $1 and position > $3)
   on conflict (user_nid) do update set content = excluded.content, position = excluded.position`,
)

export const forgetRemoteDeviceList = statement<never>(
  'forget remote device list',
  'delete from remote_device_lists where user_nid = $1',
)
