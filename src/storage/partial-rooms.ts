import type { EventId, RoomId, ServerName } from '../matrix/ids.ts'
import { type Query, statement } from './database.ts'
import { operation } from './operation.ts'
import { membershipCodes } from './room-users.ts'

/** Rooms that were joined without their members, which are fetched afterwards. */

/** A room whose members are fetched. */
export type PartialRoomRow = {
  room: number
  room_id: RoomId
  join_event: EventId
  /** The room was known from before. */
  returned: boolean
  told_by: ServerName
  servers: ServerName[]
}

/**
 * From here on the members of a room that none of our users is in are not all known. Parameters: the room, the join, who
 * took it in, the servers in the room. No row: one of our users is in it by now.
 */
export const beginPartialRoom = statement<{ room: number }>(
  'begin partial room',
  `with begun as (
     insert into partial_rooms (room, join_event, told_by, servers, returned)
     select room, $2, $3, $4::text[], extremities <> '{}' from rooms where room = $1 and not exists (
       select from room_users join accounts using (user_nid) where room = $1 and membership = ${membershipCodes.join})
     on conflict (room) do update set join_event = excluded.join_event, told_by = excluded.told_by,
       servers = excluded.servers, returned = excluded.returned, completed_at = null, corrected = false
     returning room)
   update rooms set partial_state = true, version = version + 1 where room in (select room from begun) returning room`,
)

/**
 * Of a room that nobody of us is in any more nothing is fetched, unless somebody is coming back. Parameters: the room, the time, in
 * milliseconds.
 */
export const abandonPartialRoom = statement<never>(
  'abandon partial room',
  `with gone as (delete from partial_rooms where room = $1 and completed_at is null and kept_until < $2::int8
     returning room)
   update rooms set partial_state = false, version = version + 1 where room in (select room from gone)`,
)

/** No row: its members are known, or nobody fetches them. Parameters: the room, until when it is not given up. */
export const keepPartialRoom = statement<{ room: number }>(
  'keep partial room',
  'update partial_rooms set kept_until = $2 where room = $1 and completed_at is null returning room',
)

export const partialRooms = statement<PartialRoomRow>(
  'partial rooms',
  `select p.room, room_id, join_event, returned, told_by, servers from partial_rooms p join rooms using (room)
   where completed_at is null`,
)

/** Whether members of a server may be in one of the rooms whose members are not known. */
export const isInPartialRoom = statement<{ is_in: boolean }>(
  'server in a partial room',
  'select exists (select from partial_rooms where completed_at is null and $1 = any(servers)) as is_in',
)

/** Rooms whose members came to be there in a span of positions. */
export const roomsCompletedBetween = statement<{
  room: number
  room_id: RoomId
  completed_at: number
  corrected: boolean
}>(
  'rooms completed between',
  `select p.room, room_id, completed_at, corrected from partial_rooms p join rooms using (room)
   where completed_at > $1 and completed_at <= $2`,
)

/** The join whose room is to be completed; none where that has been done, or nobody wants it any more. */
export const openPartialRoom = statement<{ join_event: EventId }>(
  'open partial room',
  'select join_event from partial_rooms where room = $1 and completed_at is null',
)

/** The members are there: counted, and the room is like any other. */
export const completeRooms = operation<{ room: number; completed_at: number; corrected: boolean }>(
  'complete rooms',
  { room: 'int4', completed_at: 'int8', corrected: 'bool' },
  `with done as (
     update partial_rooms p set completed_at = r.completed_at, corrected = r.corrected from $rows where p.room = r.room returning p.room)
   update rooms set partial_state = false,
     joined_members = (select count(*) from room_users u where u.room = rooms.room and membership = ${membershipCodes.join}),
     invited_members = (select count(*) from room_users u where u.room = rooms.room and membership = ${membershipCodes.invite})
   from done where rooms.room = done.room`,
)

/** A piece of the state that held before we came in. */
export type EarlierState = {
  kind: number
  event_nid: number
  /** Of a membership, else null. */
  user_nid: number | null
  membership: number | null
  /** What a member of another server is found by, as in `room_users.name_words`. */
  words: string | null
}

/**
 * Writes what held of a room's state at a position, where nothing is known for that time: until the first change that is.
 * Runs in a transaction of its own, and nobody else writes to the room meanwhile. Rows go in by their numbers, which rise from one
 * piece of a state to the next: so the pages of the indexes are filled, and not split in their middle.
 *
 * @returns false when the join is not what the room is to be completed for any more.
 */
export async function insertEarlierState(
  query: Query,
  { room, join, position }: { room: number; join: EventId; position: number },
  entries: readonly EarlierState[],
): Promise<boolean> {
  await query('select from rooms where room = $1 for update', [room])
  const open = await query<{ join_event: EventId }>(openPartialRoom.text, [room])
  if (open[0]?.join_event !== join) return false
  const columns = [
    entries.map((entry) => entry.kind),
    entries.map((entry) => entry.event_nid),
    entries.map((entry) => entry.user_nid),
    entries.map((entry) => entry.membership),
  ]
  // Who comes back has let go of what was known: a row says so, and is what is told now instead.
  await query(
    `insert into room_state (room, kind, is_member, from_position, to_position, event_nid)
     select $1, g.kind, g.user_nid is not null, $2::int8,
       (select min(from_position) from room_state s where s.room = $1 and s.kind = g.kind and s.from_position > $2::int8),
       g.event_nid
     from unnest($3::int4[], $4::int8[], $5::int4[], $6::int2[]) as g(kind, event_nid, user_nid, membership)
     where not exists (
       select from room_state s where s.room = $1 and s.kind = g.kind and s.from_position <= $2::int8
         and (s.to_position is null or s.to_position > $2::int8) and s.event_nid is not null)
     order by g.kind
     on conflict (room, kind, from_position) do update set event_nid = excluded.event_nid, to_position = excluded.to_position`,
    [room, position, ...columns],
  )
  // Of the members those whose membership is still this one; the others have been written since.
  await query(
    `with given as (
       select g.* from unnest($3::int4[], $4::int8[], $5::int4[], $6::int2[], $7::text[])
         as g(kind, event_nid, user_nid, membership, words)
       join room_state s on s.room = $1 and s.kind = g.kind and s.to_position is null and s.event_nid = g.event_nid
       where g.user_nid is not null)
     insert into room_users (user_nid, room, membership, event_nid, since, read_position, read_notify_index,
       read_highlight_index, threads_read_position, name_words)
     select user_nid, $1, membership, event_nid, $2::int8, $2::int8, 0, 0, $2::int8, words::tsvector
     from given order by user_nid
     on conflict (user_nid, room) do update set membership = excluded.membership, event_nid = excluded.event_nid,
       since = excluded.since, name_words = excluded.name_words`,
    [room, position, ...columns, entries.map((entry) => entry.words)],
  )
  return true
}
