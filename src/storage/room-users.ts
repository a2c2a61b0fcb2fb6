import type { RoomId } from '../matrix/ids.ts'
import { statement } from './database.ts'
import { operation } from './operation.ts'

export type Membership = 'invite' | 'join' | 'knock' | 'leave' | 'ban'

/** `room_users.membership`. */
export const membershipCodes = { leave: 0, join: 1, invite: 2, knock: 3, ban: 4 } as const
const memberships = ['leave', 'join', 'invite', 'knock', 'ban'] as const

export function membershipOf(code: number): Membership {
  return memberships[code]!
}

/** The words that a member is found by, which are letters and digits alone, as `name_words` takes them; null: none. */
export function nameWords(words: readonly string[]): string | null {
  return words.length === 0 ? null : words.map((word) => `'${word}'`).join(' ')
}

/** A change of membership. A join begins a new count of unread events. */
export const saveMemberships = operation<{
  user_nid: number
  room: number
  membership: number
  event_nid: number
  since: number
  notify_index: number
  highlight_index: number
  /** `nameWords` of who is from another server. */
  name_words: string | null
}>(
  'save memberships',
  {
    user_nid: 'int4',
    room: 'int4',
    membership: 'int2',
    event_nid: 'int8',
    since: 'int8',
    notify_index: 'int4',
    highlight_index: 'int4',
    name_words: 'text',
  },
  `insert into room_users (user_nid, room, membership, event_nid, since, read_position, read_notify_index,
     read_highlight_index, threads_read_position, name_words)
   select user_nid, room, membership, event_nid, since, since, notify_index, highlight_index, since, name_words::tsvector
   from $rows
   on conflict (user_nid, room) do update set membership = excluded.membership, event_nid = excluded.event_nid,
     name_words = excluded.name_words,
     since = case when excluded.membership <> room_users.membership then excluded.since else room_users.since end,
     forgotten = room_users.forgotten and excluded.membership in (${membershipCodes.leave}, ${membershipCodes.ban}),
     read_position = case when excluded.membership = ${membershipCodes.join} and room_users.membership <> ${membershipCodes.join}
       then excluded.read_position else room_users.read_position end,
     read_notify_index = case when excluded.membership = ${membershipCodes.join} and room_users.membership <> ${membershipCodes.join}
       then excluded.read_notify_index else room_users.read_notify_index end,
     read_highlight_index = case when excluded.membership = ${membershipCodes.join} and room_users.membership <> ${membershipCodes.join}
       then excluded.read_highlight_index else room_users.read_highlight_index end,
     threads_read_position = case when excluded.membership = ${membershipCodes.join} and room_users.membership <> ${membershipCodes.join}
       then excluded.threads_read_position else room_users.threads_read_position end`,
  (row) => `${row.user_nid} ${row.room}`,
)

/** The membership was redacted: its user is not found by the name in it any more. */
export const forgetNames = operation<{ user_nid: number; room: number; event_nid: number }>(
  'forget names',
  { user_nid: 'int4', room: 'int4', event_nid: 'int8' },
  `update room_users u set name_words = null
   from $rows where u.user_nid = r.user_nid and u.room = r.room and u.event_nid = r.event_nid`,
)

/** Unread counts of a user in a room start from here: a receipt, or an event of the user's own. */
export const saveReadPositions = operation<{
  user_nid: number
  room: number
  read_position: number
  read_notify_index: number
  read_highlight_index: number
}>(
  'save read positions',
  {
    user_nid: 'int4',
    room: 'int4',
    read_position: 'int8',
    read_notify_index: 'int4',
    read_highlight_index: 'int4',
  },
  `update room_users u set read_position = r.read_position, read_notify_index = r.read_notify_index,
     read_highlight_index = r.read_highlight_index
   from $rows where u.user_nid = r.user_nid and u.room = r.room and u.read_position <= r.read_position`,
  (row) => `${row.user_nid} ${row.room}`,
)

/** An unthreaded receipt: up to here the threads are read as well. */
export const saveThreadsRead = operation<{ user_nid: number; room: number; read_position: number }>(
  'save what is read of threads',
  { user_nid: 'int4', room: 'int4', read_position: 'int8' },
  `update room_users u set threads_read_position = r.read_position
   from $rows where u.user_nid = r.user_nid and u.room = r.room and u.threads_read_position <= r.read_position`,
  (row) => `${row.user_nid} ${row.room}`,
)

export const insertPushExceptions = operation<{
  user_nid: number
  room: number
  event_nid: number
  notify: number
  highlight: number
}>(
  'insert push exceptions',
  { user_nid: 'int4', room: 'int4', event_nid: 'int8', notify: 'int2', highlight: 'int2' },
  `insert into push_exceptions (user_nid, room, event_nid, notify, highlight)
   select user_nid, room, event_nid, notify, highlight from $rows on conflict do nothing`,
)

export type RoomUserRow = {
  user_nid: number
  room: number
  membership: number
  event_nid: number
  since: number
  forgotten: boolean
  read_position: number
  read_notify_index: number
  read_highlight_index: number
}

const columns = `user_nid, room, membership, event_nid, since, forgotten, read_position, read_notify_index,
  read_highlight_index`

/** Every room a user has or had to do with. */
export const roomsOfUser = statement<RoomUserRow & { room_id: RoomId }>(
  'rooms of a user',
  `select ${columns}, room_id from room_users join rooms using (room) where user_nid = $1`,
)

export const roomUser = statement<RoomUserRow>(
  'a user in a room',
  `select ${columns} from room_users where user_nid = $1 and room = $2`,
)

/** Users with one of the memberships in a room. */
export const usersOfRoom = statement<{ user_nid: number; membership: number; since: number }>(
  'users of a room',
  'select user_nid, membership, since from room_users where room = $1 and membership = any($2::int2[])',
)

/** Users who are joined to a room that `$1` is joined to; with `$2`, only if among those. */
export const usersSharingARoom = statement<{ user_nid: number }>(
  'users sharing a room',
  `select distinct b.user_nid from room_users a join room_users b on b.room = a.room and b.membership = 1
   where a.user_nid = $1 and a.membership = 1 and ($2::int[] is null or b.user_nid = any($2::int[]))`,
)

/** What a user has read needs no exceptions any more; those of threads are read by receipts of their own. */
export const deletePushExceptions = operation<{ user_nid: number; room: number; up_to: number }>(
  'delete push exceptions',
  { user_nid: 'int4', room: 'int4', up_to: 'int8' },
  `delete from push_exceptions x using $rows
   where x.user_nid = r.user_nid and x.room = r.room and x.event_nid <= r.up_to
     and (x.event_nid <= (select threads_read_position from room_users u where u.user_nid = r.user_nid and u.room = r.room)
       or not exists (select from event_relations t where t.event_nid = x.event_nid and t.relation = 'm.thread'))`,
)

/** Of what was read in a thread, what was read in the main timeline too: until then the room's counts are made with it. */
export const deleteThreadExceptions = operation<{ user_nid: number; room: number; root: Buffer; up_to: number }>(
  'delete push exceptions of a thread',
  { user_nid: 'int4', room: 'int4', root: 'bytea', up_to: 'int8' },
  `delete from push_exceptions x using $rows
   where x.user_nid = r.user_nid and x.room = r.room and x.event_nid <= r.up_to
     and x.event_nid <= (select read_position from room_users u where u.user_nid = r.user_nid and u.room = r.room)
     and exists (select from event_relations t
       where t.room = r.room and t.parent = r.root and t.relation = 'm.thread' and t.event_nid = x.event_nid)`,
)
