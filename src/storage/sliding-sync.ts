import { contentField } from './content-field.ts'
import { statement } from './database.ts'
import type { EventIdFormat } from './event-codec.ts'

/** What sliding sync reads and keeps. */

/**
 * Keeps what a connection will have been told once its client comes back with the new state. Only the state it came from
 * is kept beside it, and of a device only the connections that were used last.
 *
 * Parameters: user, device, conn_id, the state it came from (0: none), content, connections beside this one.
 */
export const saveSlidingState = statement<{ state: number }>(
  'save sliding sync state',
  `with outdated as (
     delete from sliding_sync_states where user_nid = $1 and device_id = $2 and (
       conn_id = $3 and state <> $4
       or conn_id in (
         select conn_id from sliding_sync_states where user_nid = $1 and device_id = $2 and conn_id <> $3
         group by conn_id order by max(state) desc offset $6)))
   insert into sliding_sync_states (user_nid, device_id, conn_id, content)
   select user_nid, device_id, $3, $5 from devices where user_nid = $1 and device_id = $2 returning state`,
)

/** Parameters: user, device, conn_id, state. */
export const slidingState = statement<{ content: string }>(
  'sliding sync state',
  `select content from sliding_sync_states
   where state = $4 and user_nid = $1 and device_id = $2 and conn_id = $3`,
)

/** The position of the last event of each room's timeline, in one row. */
export const lastEvents = statement<{ rooms: number[]; positions: number[] }>(
  'last events of rooms',
  `select coalesce(array_agg(w.room), '{}') as rooms, coalesce(array_agg(e.timeline), '{}') as positions
   from unnest($1::int[]) as w(room) cross join lateral (
     select timeline from events where events.room = w.room and timeline > 0 order by timeline desc limit 1) e`,
)

/**
 * Of memberships that ended, those that somebody else ended and before which the user had been joined, in one row.
 *
 * Parameters: the user's number and id; rooms and the numbers of the events that ended the memberships.
 */
export const removalsOf = statement<{ removals: number[] }>(
  'removals of a user',
  `select coalesce(array_agg(w.event_nid), '{}') as removals
   from unnest($3::int[], $4::int8[]) as w(room, event_nid) join events e using (event_nid)
   where e.sender <> $1 and exists (
     select 1 from event_kinds k
     join room_state s on s.room = w.room and s.kind = k.kind join events j on j.event_nid = s.event_nid
     where k.type = 'm.room.member' and k.state_key = $2 and ${contentField('j.content', 'membership')} = 'join')`,
)

/** Entries of the current states of rooms that lists are filtered by. Parameters: rooms, kinds. */
export const traitsOfRooms = statement<{ room: number; kind: number; content: string }>(
  'traits of rooms',
  `select s.room, s.kind, e.content from room_state s join events e using (event_nid)
   where s.room = any($1::int[]) and s.kind = any($2::int[]) and s.to_position is null`,
)

/** The rooms that spaces name as theirs. */
export const childrenOfSpaces = statement<{ room: number; child: string; content: string }>(
  'children of spaces',
  `select s.room, k.state_key as child, e.content from room_state s
   join event_kinds k on k.kind = s.kind and k.type = 'm.space.child' join events e using (event_nid)
   where s.room = any($1::int[]) and not s.is_member and s.to_position is null`,
)

export const accountDataOfType = statement<{ room: number; content: string }>(
  'account data of a type',
  'select room, content from account_data where user_nid = $1 and type = $2',
)

/**
 * The position of the last event of some kinds of each room; when none of them is among its newest events, that of the
 * oldest of these.
 *
 * Parameters: rooms, positions up to which, kinds, how many of the newest events are looked at.
 */
export const lastOfKinds = statement<{ room: number; position: number }>(
  'last events of kinds',
  `select w.room, coalesce(
     (select n.timeline from (
        select timeline, kind from events where events.room = w.room and timeline <= w.up_to and timeline > 0
        order by timeline desc limit $4) n where n.kind = any($3::int[]) order by n.timeline desc limit 1),
     (select min(n.timeline) from (
        select timeline from events where events.room = w.room and timeline <= w.up_to and timeline > 0
        order by timeline desc limit $4) n)) as position
   from unnest($1::int[], $2::int8[]) as w(room, up_to)`,
)

/** Keys that a resolution took out of the states of rooms. Parameters: rooms, after and up to which positions of each. */
export const removedState = statement<{ room: number; type: string; state_key: string }>(
  'removed state',
  `select s.room, k.type, k.state_key from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, after, up_to)
   join room_state s on s.room = w.room and s.event_nid is null and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join event_kinds k using (kind)`,
)

/** Account data of rooms (0: global). Parameters: the user; rooms, and after which position in each; up to which. */
export const accountDataSince = statement<{ room: number; type: string; content: string }>(
  'account data of rooms',
  `select a.room, a.type, a.content from unnest($2::int[], $3::int8[]) as w(room, after)
   join account_data a on a.user_nid = $1 and a.room = w.room and a.position > w.after and a.position <= $4`,
)

export type RoomReceiptRow = {
  room: number
  user_nid: number
  receipt_type: string
  thread_id: string
  ts: number
  event_id: Buffer
  event_format: EventIdFormat
  timeline: number | null
}

/**
 * Receipts of rooms after a position in each; of rooms that are new to the reader, only those for events after it, and
 * whatever the reader's own. Private receipts of others are nobody's business.
 *
 * Parameters: the reader; rooms, after which position in each, whether it is new; up to which.
 */
export const receiptsOfRooms = statement<RoomReceiptRow>(
  'receipts of rooms',
  `select c.room, c.user_nid, c.receipt_type, c.thread_id, c.ts, e.event_id,
     case when r.room_version in ('1', '2') then 'v1' when r.room_version = '3' then 'v3' else 'v4' end as event_format,
     e.timeline
   from (
     select c.* from unnest($2::int[], $3::int8[], $4::bool[]) as w(room, after, is_new)
     join receipts c on c.room = w.room and c.position > w.after and c.position <= $5
       and (not w.is_new or c.event_nid > w.after and c.user_nid <> $1)
       and (c.receipt_type <> 'm.read.private' or c.user_nid = $1)
     union all
     select c.* from unnest($2::int[], $4::bool[]) as w(room, is_new)
     join receipts c on c.room = w.room and c.user_nid = $1 and c.position <= $5 where w.is_new) c
   join events e using (event_nid) join rooms r on r.room = c.room`,
)
