import type { RoomId, ServerName } from '../matrix/ids.ts'
import { statement } from './database.ts'
import { domainOf } from './destinations.ts'
import { membershipCodes } from './room-users.ts'

/** Events of other servers that wait for what they build on. */

/** Events that wait in one room: of more, nothing is kept. */
const mostInRoom = 1_000

export type StagedEvent = {
  position: number
  origin: ServerName
  /** Canonical JSON of the PDU, as it was after its signatures and its hash were checked. */
  event: string
  staged_at: number
  tries: number
  try_at: number
}

/** Parameters: the room, the server that sent them, their ids, their JSON, the time. */
export const stageEvents = statement<never>(
  'stage events',
  `insert into staged_events (room, event_id, origin, event, staged_at, try_at)
   select $1, given.event_id, $2, given.event, $5, $5 from unnest($3::bytea[], $4::text[]) as given(event_id, event)
   limit greatest(0, ${mostInRoom} - (select count(*) from staged_events where room = $1))
   on conflict do nothing`,
)

/** Rooms in which something is to be tried by now, and of those named the ones in which something waits. */
export const roomsWithStagedEvents = statement<{ room: number; room_id: RoomId }>(
  'rooms with staged events',
  `select room, room_id from rooms
   where room in (select room from staged_events where try_at <= $1 order by try_at limit 1000)
     or (room_id = any($2::text[]) and exists (select from staged_events s where s.room = rooms.room))`,
)

/** Some of those that wait in a room, first those that were tried least. */
export const stagedEventsIn = statement<StagedEvent>(
  'staged events in a room',
  `select position, origin, event, staged_at, tries, try_at from staged_events where room = $1
   order by tries, position limit $2`,
)

export const deleteStagedEvents = statement<never>(
  'delete staged events',
  'delete from staged_events where position = any($1::bigint[])',
)

export const deleteStagedEventsIn = statement<never>(
  'delete staged events of a room',
  'delete from staged_events where room = $1',
)

/** They were tried in vain: when to try again, one time for each. */
export const putOffStagedEvents = statement<never>(
  'put off staged events',
  `update staged_events s set tries = tries + 1, try_at = later.at
   from unnest($1::bigint[], $2::bigint[]) as later(position, at) where s.position = later.position`,
)

/**
 * Nothing is put off any longer in the rooms that a server is in, or of what it sent. Parameters: the time, the server; null
 * for every one.
 */
export const hurryStagedEvents = statement<{ room_id: RoomId }>(
  'hurry staged events',
  `with hurried as (
     update staged_events s set tries = 0, try_at = $1 where try_at > $1 and ($2::text is null or origin = $2 or exists (
       select from room_users ru join users u using (user_nid)
       where ru.room = s.room and ru.membership = ${membershipCodes.join} and ${domainOf('u.user_id')} = $2))
     returning room)
   select room_id from rooms where room in (select room from hurried)`,
)
