import type { EventId, RoomId, ServerName } from '../matrix/ids.ts'
import { type Query, statement } from './database.ts'
import { membershipCodes } from './room-users.ts'
import { operation } from './writer.ts'

/** Rooms that were joined without their members, which are fetched afterwards. */

/** A room whose members are fetched. */
export type PartialRoomRow = {
  room: number
  room_id: RoomId
  join_event: EventId
  told_by: ServerName
  servers: ServerName[]
}

/**
 * From here on the members of a room are not all known, of which nothing is known yet. Parameters: the room, the join, who
 * took it in, the servers in the room. No row: something is known.
 */
export const beginPartialRoom = statement<{ room: number }>(
  'begin partial room',
  `with begun as (
     insert into partial_rooms (room, join_event, told_by, servers)
     select room, $2, $3, $4::text[] from rooms where room = $1 and extremities = '{}'
     on conflict (room) do update set join_event = excluded.join_event, told_by = excluded.told_by,
       servers = excluded.servers, completed_at = null, corrected = false
     returning room)
   update rooms set partial_state = true, version = version + 1 where room in (select room from begun) returning room`,
)

/** Of a room that nobody of us is in any more nothing is fetched. */
export const abandonPartialRoom = statement<never>(
  'abandon partial room',
  `with gone as (delete from partial_rooms where room = $1 and completed_at is null returning room)
   update rooms set partial_state = false, version = version + 1 where room in (select room from gone)`,
)

export const partialRooms = statement<PartialRoomRow>(
  'partial rooms',
  `select p.room, room_id, join_event, told_by, servers from partial_rooms p join rooms using (room)
   where completed_at is null`,
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
}

/**
 * Writes what held of a room's state before the position of our join, where nothing is known for that time: until the first
 * change that is. Runs in a transaction of its own, and nobody else writes to the room meanwhile.
 */
export async function insertEarlierState(
  query: Query,
  room: number,
  joinPosition: number,
  entries: readonly EarlierState[],
): Promise<void> {
  await query('select from rooms where room = $1 for update', [room])
  const columns = [
    entries.map((entry) => entry.kind),
    entries.map((entry) => entry.event_nid),
    entries.map((entry) => entry.user_nid),
    entries.map((entry) => entry.membership),
  ]
  await query(
    `insert into room_state (room, kind, is_member, from_position, to_position, event_nid)
     select $1, g.kind, g.user_nid is not null, $2::int8 - 1,
       (select min(from_position) from room_state s where s.room = $1 and s.kind = g.kind and s.from_position > $2::int8 - 1),
       g.event_nid
     from unnest($3::int4[], $4::int8[], $5::int4[], $6::int2[]) as g(kind, event_nid, user_nid, membership)
     where not exists (
       select from room_state s where s.room = $1 and s.kind = g.kind and s.from_position <= $2::int8 - 1)`,
    [room, joinPosition, ...columns],
  )
  await query(
    `insert into room_users (user_nid, room, membership, event_nid, since, read_position, read_notify_index,
       read_highlight_index, threads_read_position)
     select g.user_nid, $1, g.membership, g.event_nid, $2::int8 - 1, $2::int8 - 1, 0, 0, $2::int8 - 1
     from unnest($3::int4[], $4::int8[], $5::int4[], $6::int2[]) as g(kind, event_nid, user_nid, membership)
     where g.user_nid is not null on conflict do nothing`,
    [room, joinPosition, ...columns],
  )
}
