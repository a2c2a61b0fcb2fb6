import { statement } from './database.ts'

/** Counts of rooms, and up to `heroes` members besides the reader, for summaries. */
export const roomSummaries = statement<{
  room: number
  room_id: string
  joined_members: number
  invited_members: number
  notify_count: number
  highlight_count: number
  heroes: number[] | null
}>(
  'room summaries',
  `select r.room, r.room_id, r.joined_members, r.invited_members, r.notify_count, r.highlight_count, h.heroes
   from rooms r left join lateral (
     select array_agg(user_nid) as heroes from (
       select user_nid from room_users u
       where u.room = r.room and u.membership in (1, 2) and u.user_nid <> $2
       order by u.membership, u.user_nid limit 5) m) h on true
   where r.room = any($1::int[])`,
)

/** Those who were there, for a room that everybody else has left. */
export const formerMembers = statement<{ room: number; user_nid: number }>(
  'former members',
  `select w.room, u.user_nid from unnest($1::int[]) as w(room) cross join lateral (
     select user_nid from room_users where room = w.room and membership in (0, 4) and user_nid <> $2
     order by user_nid limit 5) u`,
)
