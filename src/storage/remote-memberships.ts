import { knownEvent, type Pdu, type RoomEvent } from '../matrix/event.ts'
import { eventIdOf } from '../matrix/hashes.ts'
import type { RoomId, ServerName, UserId } from '../matrix/ids.ts'
import { type RoomVersion, roomRules } from '../matrix/room-versions.ts'
import { statement } from './database.ts'
import { operation } from './operation.ts'
import { membershipCodes } from './room-users.ts'

/** Memberships in rooms that this deployment is not in. */
export type RemoteMembershipRow = {
  user_nid: number
  room: number
  membership: number
  position: number
  pdu: string
  stripped: string
  servers: string
}

/** The row, and what the user's list of rooms shows. A new invite counts as new also where the last one still stood. */
export const saveRemoteMemberships = operation<RemoteMembershipRow>(
  'save remote memberships',
  {
    user_nid: 'int4',
    room: 'int4',
    membership: 'int2',
    position: 'int8',
    pdu: 'text',
    stripped: 'text',
    servers: 'text',
  },
  `with saved as (
     insert into remote_memberships (user_nid, room, membership, position, pdu, stripped, servers)
     select user_nid, room, membership, position, pdu, stripped, servers from $rows
     on conflict (user_nid, room) do update set membership = excluded.membership, position = excluded.position,
       pdu = excluded.pdu, stripped = excluded.stripped, servers = excluded.servers
     returning user_nid, room, membership, position)
   insert into room_users (user_nid, room, membership, event_nid, since, read_position, threads_read_position)
   select user_nid, room, membership, 0, position, position, position from saved
   on conflict (user_nid, room) do update set membership = excluded.membership, event_nid = excluded.event_nid,
     since = excluded.since,
     forgotten = room_users.forgotten and excluded.membership in (${membershipCodes.leave}, ${membershipCodes.ban})`,
  (row) => `${row.user_nid} ${row.room}`,
)

type Named = RemoteMembershipRow & { room_id: RoomId; room_version: RoomVersion; user_id: UserId }

const selected = `select m.user_nid, m.room, m.membership, m.position, m.pdu, m.stripped, m.servers, r.room_id,
     r.room_version, u.user_id
   from remote_memberships m join rooms r using (room) join users u using (user_nid)`

export const remoteMembership = statement<Named>(
  'remote membership',
  `${selected} where r.room_id = $1 and u.user_id = $2`,
)

export const remoteMembershipsOfUser = statement<Named>(
  'remote memberships of a user',
  `${selected} where m.user_nid = $1 and m.room = any($2::int[])`,
)

export const remoteMembershipsBetween = statement<Named>(
  'remote memberships of a span',
  `${selected} where m.position > $1 and m.position <= $2`,
)

/** Somebody of ours who is joined to a room. */
export const localMemberOf = statement<{ user_id: UserId }>(
  'a local member of a room',
  `select user_id from room_users join accounts using (user_nid) join users using (user_nid)
   where room = $1 and membership = ${membershipCodes.join} limit 1`,
)

/** Servers with a member in a room. */
export const serversIn = statement<{ server: ServerName }>(
  'servers in a room',
  `select distinct substr(user_id, position(':' in user_id) + 1) as server from room_users join users using (user_nid)
   where room = $1 and membership = ${membershipCodes.join}
   union select unnest(servers) from partial_rooms where room = $1 and completed_at is null limit 50`,
)

/** The membership event of a row. */
export function storedMembershipEvent(text: string, version: RoomVersion): RoomEvent {
  const pdu = JSON.parse(text) as Pdu
  const rules = roomRules(version)!
  return knownEvent(pdu, eventIdOf(pdu, rules), rules)
}
