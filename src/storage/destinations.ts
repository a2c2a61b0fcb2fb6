import type { ServerName, UserId } from '../matrix/ids.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import { contentField } from './content-field.ts'
import { statement } from './database.ts'
import { ownedLock } from './ownership.ts'
import { membershipCodes } from './room-users.ts'

/** How far another server has been told what happened in a domain of ours, and who tells it. */
export type DestinationRow = {
  origin: ServerName
  server_name: ServerName
  acked_position: number
  failures: number
  /** Milliseconds since the epoch. */
  retry_at: number
  /** What it missed after the one position, up to the other, and is not to be told one by one; null: nothing. */
  missed_after: number | null
  missed_up_to: number | null
}

/** A server that was told nothing of what came after a position. */
export function newDestination(origin: ServerName, server: ServerName, position: number): DestinationRow {
  const told = { acked_position: position, missed_after: null, missed_up_to: null }
  return { origin, server_name: server, ...told, failures: 0, retry_at: 0 }
}

const columns = 'origin, server_name, acked_position, failures, retry_at, missed_after, missed_up_to'

/** Those, too, that there are messages for and that nothing was ever sent to. */
export const allDestinations = statement<DestinationRow>(
  'destinations',
  `select ${columns} from destinations where origin <> ''
   union all
   select distinct origin, server_name, (select position from stream), 0, 0::int8, null::int8, null::int8
   from outgoing_to_device o
   where not exists (select from destinations d where d.origin = o.origin and d.server_name = o.server_name)`,
)

/** What a process owns (storage/ownership.ts) for as long as it runs, so that others know when it does no longer. */
export function senderName(processId: string): string {
  return `sending by ${processId}`
}

/**
 * Makes a process the one that sends to a destination, for some milliseconds; nothing while another one that runs is.
 * Parameters: origin, server, the position of one that is new, the process, milliseconds.
 */
export const ownDestination = statement<DestinationRow>(
  'own destination',
  `insert into destinations as d (origin, server_name, acked_position, owner, owned_until)
   values ($1, $2, $3, $4, (extract(epoch from clock_timestamp()) * 1000)::int8 + $5::int8)
   on conflict (origin, server_name) do update set owner = excluded.owner, owned_until = excluded.owned_until
     where d.owner is null or d.owner = excluded.owner
       or d.owned_until < (extract(epoch from clock_timestamp()) * 1000)::int8
       or pg_try_advisory_xact_lock(${ownedLock(`'${senderName('')}' || d.owner`)})
   returning ${columns}`,
)

/** What the owner has achieved, and for how many milliseconds it stays the owner: 0 gives the destination back. */
export const saveDestination = statement<never>(
  'save destination',
  `update destinations set acked_position = greatest(acked_position, $3), failures = $4, retry_at = $5,
     missed_after = $6, missed_up_to = $7, owner = case when $9::int8 = 0 then null else owner end,
     owned_until = (extract(epoch from clock_timestamp()) * 1000)::int8 + $9::int8
   where origin = $1 and server_name = $2 and owner = $8`,
)

/** Up to here there was nothing to tell to these. Parameters: origins, servers, the position. */
export const passDestinations = statement<never>(
  'pass destinations',
  `update destinations d set acked_position = $3 from unnest($1::text[], $2::text[]) as idle(origin, server_name)
   where d.origin = idle.origin and d.server_name = idle.server_name and d.acked_position < $3 and d.owner is null`,
)

/** The server in a column of user ids. */
export const domainOf = (column: string): string => `substr(${column}, position(':' in ${column}) + 1)`

/** The rooms of the server `$3`, each with the position since when it is in it. */
const serverRooms = `server_rooms as materialized (
     select ru.room, min(ru.since) as since from users u join room_users ru using (user_nid)
     where ${domainOf('u.user_id')} = $3 and ru.membership = ${membershipCodes.join} group by ru.room
     union all
     select room, 0 from partial_rooms where completed_at is null and $3 = any(servers))`

/** Whether the domain `$4` tells the server `$3` of an event `e` by `s`: its own, and those it vouches for. */
const isTold = `(${domainOf('s.user_id')} = $4
       or ${domainOf('s.user_id')} <> $3
       and exists (select from relayed_events r where r.event_id = e.event_id and r.origin = $4))`

/**
 * The forward extremities of the rooms that a server came into after a position, as far as they were here before it came:
 * what it was let in by did not know them, or it would have followed them. The last of each room, as many as an event can follow,
 * so that what is told at one position fits into a transaction. Parameters as below; `position` is where it came in.
 */
const standQuery = `select stand.event_nid, r.since as position
   from (select room, min(since) as since from server_rooms group by room) r join rooms using (room)
   cross join lateral (
     select e.event_nid from events e join users s on s.user_nid = e.sender
     where e.event_nid = any(rooms.extremities) and e.event_nid < r.since and ${domainOf('s.user_id')} <> $3
     order by e.event_nid desc limit ${MAX_PREV_EVENTS}) stand
   where r.since > $1 and r.since <= $2 and not rooms.partial_state
     and exists (select from room_users ru join users u using (user_nid)
       where ru.room = r.room and ru.membership = ${membershipCodes.join} and ${domainOf('u.user_id')} = $4)`

/** The same for one room: an event each. Parameters: after, up to, the server, the domain, the room. */
export const standForNewcomer = statement<{ event_nid: number; position: number }>(
  'how a room stands for a server that came into it',
  `with ${serverRooms} ${standQuery} and r.room = $5`,
)

/**
 * Events of a domain of ours, and those it vouches for, in rooms that the server has been in since before, or that are about
 * its users, and how rooms stood when it came into them; in the order of the stream. An invite goes by a way of its own.
 * Parameters: after, up to, the server, the domain.
 */
const eventsForServerQuery = `with ${serverRooms}
   select e.event_nid, e.event_nid as position
   from events e join users s on s.user_nid = e.sender join event_kinds k using (kind)
   left join server_rooms r on r.room = e.room and r.since <= e.event_nid
   where e.event_nid > $1 and e.event_nid <= $2 and e.timeline is not null
     and ${isTold}
     and (r.room is not null
       or k.type = 'm.room.member' and ${domainOf('k.state_key')} = $3
       and ${contentField('e.content', 'membership')} is distinct from 'invite')
   union all
   (${standQuery})
   order by position, event_nid`

/** As many as the fifth parameter says. What is told later than it happened has a `position` above its number. */
export const eventsForServer = statement<{ event_nid: number; position: number }>(
  'events for a server',
  `${eventsForServerQuery} limit $5`,
)

/** A row if there are more of them than the fifth parameter says. */
export const moreEventsForServer = statement<{ event_nid: number }>(
  'more events for a server than some',
  `${eventsForServerQuery} offset $5 limit 1`,
)

/**
 * The events by which a server gets to know how each room stands that something for it happened in after a position, the room
 * with the latest first: its forward extremities, or where not all members are known the last event of our own. Events about
 * its users in rooms that it is not in stand for themselves. `position` is that of the last event for the server; rooms where
 * that lies above a position are left out, since they have been told. Where there are more extremities than one event can
 * follow, each has a row and its own position: the next event in the room does not speak for all of them. Parameters: after,
 * that position, the server, the domain, how many.
 */
export const missedByServer = statement<{ position: number; events: number[] }>(
  'how rooms stand that a server missed',
  `with ${serverRooms},
   rooms_in as (
     select rooms.room, min(since) as since, partial_state, extremities,
       not partial_state and cardinality(extremities) > ${MAX_PREV_EVENTS} as is_crowded
     from server_rooms join rooms using (room) group by rooms.room)
   select newest.position, case when r.partial_state then array[newest.event_nid] else array(
       select e.event_nid from events e join users s on s.user_nid = e.sender
       where e.event_nid = any(r.extremities) and ${domainOf('s.user_id')} <> $3
       order by e.event_nid desc) end as events
   from rooms_in r
   cross join lateral (
     select e.event_nid, e.timeline as position from events e join users s on s.user_nid = e.sender
     where e.room = r.room and e.timeline > greatest($1, r.since - 1) and ${isTold}
     order by e.timeline desc limit 1) newest
   where newest.position <= $2 and not r.is_crowded
   union all
   select e.timeline, array[e.event_nid]
   from rooms_in r join events e on e.event_nid = any(r.extremities) join users s on s.user_nid = e.sender
   where r.is_crowded and e.timeline > greatest($1, r.since - 1) and e.timeline <= $2 and ${domainOf('s.user_id')} <> $3
   union all
   select e.event_nid, array[e.event_nid]
   from users u join room_users m using (user_nid) join events e using (event_nid) join users s on s.user_nid = e.sender
   where ${domainOf('u.user_id')} = $3 and m.membership in (${membershipCodes.leave}, ${membershipCodes.ban})
     and e.event_nid > $1 and e.event_nid <= $2 and e.timeline is not null and ${isTold}
     and not exists (select from server_rooms r where r.room = m.room)
   order by position desc limit $5`,
)

const changedLists = (isMeant: string): string => `select u.user_nid, u.user_id, max(c.position) as position
   from device_list_changes c join users u using (user_nid)
   where c.position > $1 and ${isMeant} c.reader_nid is null and ${domainOf('u.user_id')} = $4
     and exists (select from room_users mine
       join room_users ru on ru.room = mine.room and ru.membership = ${membershipCodes.join}
       join users o on o.user_nid = ru.user_nid
       where mine.user_nid = c.user_nid and mine.membership = ${membershipCodes.join} and ${domainOf('o.user_id')} = $3
       union all
       select from room_users mine join partial_rooms p on p.room = mine.room and p.completed_at is null
       where mine.user_nid = c.user_nid and mine.membership = ${membershipCodes.join} and $3 = any(p.servers))
   group by u.user_nid, u.user_id`

/** Users of a domain of ours whose devices or keys changed, and who share a room with the server; by their last change. */
export const deviceListsForServer = statement<{ user_nid: number; user_id: UserId; position: number }>(
  'device lists for a server',
  `${changedLists('c.position <= $2 and')} order by position limit 25`,
)

/** The same, the last first; as many as the fifth parameter says. */
export const deviceListsMissedByServer = statement<{ user_nid: number; user_id: UserId; position: number }>(
  'device lists that a server missed',
  `${changedLists('')} having max(c.position) <= $2 order by position desc limit $5`,
)

/** Servers that share a room with a user. */
export const serversSharingRooms = statement<{ server: ServerName }>(
  'servers sharing rooms with a user',
  `select distinct ${domainOf('u.user_id')} as server
   from room_users mine join room_users ru on ru.room = mine.room and ru.membership = ${membershipCodes.join}
   join users u on u.user_nid = ru.user_nid
   where mine.user_nid = $1 and mine.membership = ${membershipCodes.join}
   union
   select unnest(p.servers) from room_users mine join partial_rooms p on p.room = mine.room and p.completed_at is null
   where mine.user_nid = $1 and mine.membership = ${membershipCodes.join}`,
)

/** Servers with a joined member in a room; those it was said to have, while its members are not known. */
export const serversOfRoom = statement<{ server: ServerName }>(
  'servers of a room',
  `select distinct ${domainOf('user_id')} as server from room_users join users using (user_nid)
   where room = $1 and membership = ${membershipCodes.join}
   union
   select unnest(servers) from partial_rooms where room = $1 and completed_at is null`,
)

/** Whether a server is one of those: a row if it is. Parameters: the room, the server. */
export const isServerInRoom = statement<{ room: number }>(
  'is server in room',
  `select room from users join room_users using (user_nid)
   where ${domainOf('user_id')} = $2 and room = $1 and membership = ${membershipCodes.join}
   union all
   select room from partial_rooms where room = $1 and completed_at is null and $2 = any(servers)
   limit 1`,
)

/** An event that came in through a domain of ours alone, which so passes it on. */
export const insertRelayed = statement<never>(
  'insert relayed event',
  'insert into relayed_events (event_id, origin) values ($1, $2) on conflict do nothing',
)
