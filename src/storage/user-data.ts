import { statement } from './database.ts'
import type { EventIdFormat } from './event-codec.ts'
import { insertInto, operation } from './operation.ts'
import { membershipCodes } from './room-users.ts'

/** What belongs to a user and is told by the stream. */

export type ReceiptRow = {
  room: number
  user_nid: number
  receipt_type: string
  thread_id: string
  event_nid: number
  ts: number
  position: number
}

export const saveReceipts = insertInto<ReceiptRow>(
  'receipts',
  {
    room: 'int4',
    user_nid: 'int4',
    receipt_type: 'text',
    thread_id: 'text',
    event_nid: 'int8',
    ts: 'int8',
    position: 'int8',
  },
  {
    tail: `on conflict (room, user_nid, receipt_type, thread_id) do update
      set event_nid = excluded.event_nid, ts = excluded.ts, position = excluded.position`,
    key: (row) => `${row.room} ${row.user_nid} ${row.receipt_type} ${row.thread_id}`,
  },
)

export type AccountDataRow = { user_nid: number; room: number; type: string; content: string; position: number }

export const saveAccountData = insertInto<AccountDataRow>(
  'account_data',
  { user_nid: 'int4', room: 'int4', type: 'text', content: 'text', position: 'int8' },
  {
    tail: `on conflict (user_nid, room, type) do update
      set content = excluded.content, position = excluded.position`,
    key: (row) => `${row.user_nid} ${row.room} ${row.type}`,
  },
)

export type ToDeviceRow = { position: number; user_nid: number; device_id: string; content: string }

/** Of devices that are there: what is remembered of them may be a moment old. */
export const insertToDevice = operation<ToDeviceRow>(
  'insert to_device',
  { position: 'int8', user_nid: 'int4', device_id: 'text', content: 'text' },
  `insert into to_device (position, user_nid, device_id, content)
   select position, user_nid, device_id, content from $rows
   where exists (select from devices d where d.user_nid = r.user_nid and d.device_id = r.device_id)`,
)

export const insertDeviceListChanges = insertInto<{ position: number; user_nid: number; reader_nid: number | null }>(
  'device_list_changes',
  { position: 'int8', user_nid: 'int4', reader_nid: 'int4' },
)

/** Members of a room since before a position whose devices or keys changed since. */
export const membersWithChangedDevices = statement<{ user_nid: number }>(
  'members with changed devices',
  `select distinct user_nid from device_list_changes join room_users using (user_nid)
   where room = $1 and membership = ${membershipCodes.join} and since <= $2 and position >= $2 and reader_nid is null`,
)

export const accountDataOf = statement<AccountDataRow>(
  'account data of a user',
  `select user_nid, room, type, content, position from account_data where user_nid = $1 and position > $2
   and position <= $3`,
)

export const oneAccountData = statement<{ content: string }>(
  'one account data',
  'select content from account_data where user_nid = $1 and room = $2 and type = $3',
)

/** Of some types of account data of the account those that are there and not empty. */
export const presentAccountData = statement<{ type: string }>(
  'present account data',
  `select type from account_data where user_nid = $1 and room = $2 and type = any($3::text[]) and content <> '{}'`,
)

/** What a user has said about invites. */
export const invitePermissionsOf = statement<{ type: string; content: string }>(
  'invite permissions of a user',
  `select type, content from account_data where user_nid = (select user_nid from users where user_id = $1) and room = 0
   and type in ('m.invite_permission_config', 'org.matrix.msc4155.invite_permission_config')`,
)

/** A piece of what a user is told beside events: `room` and `type` are of account data and receipts. */
export type NewsRow = {
  part: 'account' | 'device' | 'receipt'
  position: number
  room: number | null
  user_nid: number | null
  /** The type of account data or of a receipt. */
  type: string | null
  /** The content, or the thread of a receipt. */
  text: string
  ts: number | null
  event_id: Buffer | null
  event_format: EventIdFormat | null
  /** The place of a receipt's event. */
  timeline: number | null
}

/**
 * Account data, messages to a device and the receipts of rooms, in one statement. A part whose `after` is null is left
 * out. Private receipts of others are nobody's business.
 *
 * Parameters: the user; the device; the position up to which; account data after; messages after, and how many at most;
 * rooms, and after which position receipts of each are wanted.
 */
export const newsOfUser = statement<NewsRow>(
  'news of a user',
  `select 'account' as part, position, room, null::int as user_nid, type, content as text, null::int8 as ts,
     null::bytea as event_id, null as event_format, null::int8 as timeline
   from account_data where user_nid = $1 and position > $4 and position <= $3
   union all
   (select 'device', position, null, null, null, content, null, null, null, null
   from to_device where user_nid = $1 and device_id = $2 and position > $5 and position <= $3
   order by position limit $6)
   union all
   select 'receipt', c.position, c.room, c.user_nid, c.receipt_type, c.thread_id, c.ts, e.event_id,
     case when r.room_version in ('1', '2') then 'v1' when r.room_version = '3' then 'v3' else 'v4' end, e.timeline
   from unnest($7::int[], $8::int8[]) as w(room, after)
   join receipts c on c.room = w.room and c.position > w.after and c.position <= $3
     and (c.receipt_type <> 'm.read.private' or c.user_nid = $1)
   join events e using (event_nid) join rooms r on r.room = c.room`,
)

export const deleteToDevice = statement<never>(
  'delete to-device messages',
  'delete from to_device where user_nid = $1 and device_id = $2 and position <= $3',
)

/** Whose device lists changed, among those who share a room with the user. */
export const deviceListChangesFor = statement<{ user_nid: number }>(
  'device list changes',
  `select distinct c.user_nid from device_list_changes c
   where c.position > $2 and c.position <= $3 and coalesce(c.reader_nid, $1) = $1
   and (c.user_nid = $1 or c.reader_nid = $1 or exists (
     select 1 from room_users a join room_users b on b.room = a.room and b.membership = 1
     where a.user_nid = $1 and a.membership = 1 and b.user_nid = c.user_nid))`,
)
