import { statement } from './database.ts'

/** A thread with unread messages: what counts since the thread was read, and since the main timeline was. */
export type ThreadRow = {
  /** The event id without its sigil, in hexadecimal. */
  root: string
  notify: number
  highlight: number
  main_notify: number
  main_highlight: number
  /** The position of its newest message. */
  last: number
}

export type RoomSummaryRow = {
  room: number
  room_version: string
  joined_members: number
  invited_members: number
  notify_count: number
  highlight_count: number
  heroes: number[] | null
  threads: ThreadRow[] | null
}

// Where a user has read up to in a thread: the receipt's text has to be compared with the bytes of an event id.
export const rootOfReceipt = `case
  when r.thread_id ~ '^\\$[A-Za-z0-9_/+-]{43}$' then decode(translate(substr(r.thread_id, 2), '-_', '+/') || '=', 'base64')
  when r.thread_id like '$%:%' then convert_to(substr(r.thread_id, 2), 'UTF8') end`

/**
 * Counts of rooms, up to five members besides the reader for the name (those who were there, when nobody else is), and the
 * threads that the reader has not read. A message counts when the counter of the room rose with it.
 *
 * Parameters: the rooms, the reader, up to which position messages of threads are looked at.
 */
export const roomSummaries = statement<RoomSummaryRow>(
  'room summaries',
  `with messages as (
     select u.room, x.parent, x.event_nid, x.sender = $2 as is_own, u.read_position, u.threads_read_position,
       e.notify_index - coalesce(p.notify_index, 0) + coalesce(pe.notify, 0) as notify,
       e.highlight_index - coalesce(p.highlight_index, 0) + coalesce(pe.highlight, 0) as highlight
     from room_users u
     join event_relations x on x.room = u.room and x.relation = 'm.thread' and x.event_nid <= $3
       and x.event_nid > u.threads_read_position
     join events e on e.event_nid = x.event_nid and e.timeline > 0
     left join lateral (
       select q.notify_index, q.highlight_index from events q where q.room = e.room and q.timeline < e.timeline
       order by q.timeline desc limit 1) p on true
     left join push_exceptions pe on pe.user_nid = $2 and pe.room = u.room and pe.event_nid = x.event_nid
     where u.user_nid = $2 and u.room = any($1::int[])),
   read as (
     select m.room, m.parent, greatest(max(m.event_nid) filter (where m.is_own), max(re.at)) as at
     from messages m left join (
       select r.room, ${rootOfReceipt} as parent, e.timeline as at from receipts r join events e using (event_nid)
       where r.user_nid = $2 and r.room = any($1::int[]) and r.thread_id like '$%') re using (room, parent)
     group by m.room, m.parent),
   counted as (
     select m.room, m.parent,
       coalesce(sum(m.notify) filter (where m.event_nid > coalesce(d.at, 0)), 0) as notify,
       coalesce(sum(m.highlight) filter (where m.event_nid > coalesce(d.at, 0)), 0) as highlight,
       coalesce(sum(m.notify) filter (where m.event_nid > m.read_position), 0) as main_notify,
       coalesce(sum(m.highlight) filter (where m.event_nid > m.read_position), 0) as main_highlight,
       max(m.event_nid) as last
     from messages m left join read d using (room, parent) group by m.room, m.parent),
   threads as (
     select c.room, json_agg(json_build_object('root', encode(c.parent, 'hex'), 'notify', c.notify, 'highlight',
       c.highlight, 'main_notify', c.main_notify, 'main_highlight', c.main_highlight, 'last', c.last)) as list
     from counted c group by c.room)
   select r.room, r.room_version, r.joined_members, r.invited_members, r.notify_count, r.highlight_count,
     case when r.joined_members + r.invited_members > 1 then (
       select array_agg(user_nid) from (
         select user_nid from room_users u
         where u.room = r.room and u.membership in (1, 2) and u.user_nid <> $2
         order by u.membership, u.user_nid limit 5) m)
     else (
       select array_agg(user_nid) from (
         select user_nid from room_users u
         where u.room = r.room and u.membership in (0, 4) and u.user_nid <> $2
         order by u.user_nid limit 5) m) end as heroes,
     t.list as threads
   from rooms r left join threads t using (room) where r.room = any($1::int[])`,
)
