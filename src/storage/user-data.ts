import { statement } from './database.ts'
import type { EventIdFormat } from './event-codec.ts'
import { insertInto } from './writer.ts'

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

export const insertToDevice = insertInto<ToDeviceRow>('to_device', {
  position: 'int8',
  user_nid: 'int4',
  device_id: 'text',
  content: 'text',
})

export const insertDeviceListChanges = insertInto<{ position: number; user_nid: number; reader_nid: number | null }>(
  'device_list_changes',
  { position: 'int8', user_nid: 'int4', reader_nid: 'int4' },
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

/** Receipts of many rooms at once, of everybody (`room_user_count` small enough) after a position. */
export const receiptsOfRooms = statement<ReceiptRow & { event_id: Buffer; event_format: EventIdFormat }>(
  'receipts of rooms',
  `select r.room, r.user_nid, r.receipt_type, r.thread_id, r.event_nid, r.ts, r.position, e.event_id,
     case when rooms.room_version in ('1', '2') then 'v1' when rooms.room_version = '3' then 'v3' else 'v4' end as event_format
   from receipts r join events e using (event_nid) join rooms on rooms.room = r.room
   where r.room = any($1::int[]) and r.position > $2 and r.position <= $3`,
)

export const toDeviceOf = statement<ToDeviceRow>(
  'to-device messages',
  `select position, user_nid, device_id, content from to_device
   where user_nid = $1 and device_id = $2 and position > $3 and position <= $4 order by position limit $5`,
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
