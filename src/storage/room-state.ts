import { statement } from './database.ts'
import { insertInto, operation } from './operation.ts'
import { membershipCodes } from './room-users.ts'

/** What is written to a room beside its events. */

/** `to_position` is given only for a key that vanishes: such a row says so at its position, and ends there. */
export const openRoomState = insertInto<{
  room: number
  kind: number
  is_member: boolean
  from_position: number
  to_position: number | null
  event_nid: number | null
}>('room_state', {
  room: 'int4',
  kind: 'int4',
  is_member: 'bool',
  from_position: 'int8',
  to_position: 'int8',
  event_nid: 'int8',
})

export const closeRoomState = operation<{ room: number; kind: number; from_position: number; to_position: number }>(
  'close room_state',
  { room: 'int4', kind: 'int4', from_position: 'int8', to_position: 'int8' },
  `update room_state s set to_position = r.to_position
   from $rows where s.room = r.room and s.kind = r.kind and s.from_position = r.from_position`,
)

export const insertRooms = operation<{ room: number; room_id: string; room_version: string }>(
  'insert rooms',
  { room: 'int4', room_id: 'text', room_version: 'text' },
  `insert into rooms (room, room_id, room_version, version) overriding system value
   select room, room_id, room_version, 1 from $rows`,
)

export const insertRelations = insertInto<{
  room: number
  parent: Buffer
  relation: string
  event_nid: number
  kind: number
  sender: number
  key: string | null
}>('event_relations', {
  room: 'int4',
  parent: 'bytea',
  relation: 'text',
  event_nid: 'int8',
  kind: 'int4',
  sender: 'int4',
  key: 'text',
})

export const insertTransactions = insertInto<{
  user_nid: number
  device_id: string
  scope: string
  txn_id: string
  event_nid: number
  created: number
}>('transactions', {
  user_nid: 'int4',
  device_id: 'text',
  scope: 'text',
  txn_id: 'text',
  event_nid: 'int8',
  created: 'int8',
})

/** A room that another server has told us of. Its first event comes later. */
export const insertRemoteRoom = statement<{ room: number }>(
  'insert remote room',
  `insert into rooms (room_id, room_version, version) values ($1, $2, 1) on conflict do nothing returning room`,
)

/** The last change of a room's state up to a position. */
export const lastStateChange = statement<{ from_position: number | null }>(
  'last state change',
  'select max(from_position) as from_position from room_state where room = $1 and from_position <= $2',
)

/** The number of the event that holds a key at a position. */
export const stateNumbers = statement<{ kind: number; event_nid: number }>(
  'numbers of entries at a position',
  `select kind, event_nid from room_state where room = $1 and kind = any($3::int[]) and from_position <= $2
     and (to_position is null or to_position > $2) and event_nid is not null`,
)

export const wholeStateNumbers = statement<{ kind: number; event_nid: number }>(
  'numbers of a state',
  `select kind, event_nid from room_state where room = $1 and from_position <= $2
     and (to_position is null or to_position > $2) and event_nid is not null`,
)

/** The same without the memberships: costs nothing that grows with the members. */
export const stateNumbersWithoutMembers = statement<{ kind: number; event_nid: number }>(
  'numbers of a state without members',
  `select kind, event_nid from room_state where room = $1 and from_position <= $2
     and (to_position is null or to_position > $2) and event_nid is not null and not is_member`,
)

/** Memberships of those whom clients name a nameless room by, and one more. */
export const heroNumbers = statement<{ event_nid: number }>(
  'numbers of heroes',
  `select event_nid from room_users
   where room = $1 and membership in (${membershipCodes.join}, ${membershipCodes.invite}) order by user_nid limit 6`,
)

/**
 * What the kinds of `$4`, and those that changed after position `$2` up to `$3`, held from `$2` to `$3`. Costs what
 * changed, not what the room holds.
 */
export const stateBetween = statement<{
  kind: number
  from_position: number | null
  to_position: number | null
  event_nid: number | null
}>(
  'state between positions',
  `select k.kind, s.from_position, s.to_position, s.event_nid from (
     select unnest($4::int[]) as kind union
     select kind from room_state where room = $1 and from_position > $2 and from_position <= $3) k
   left join room_state s on s.room = $1 and s.kind = k.kind and s.from_position <= $3
     and (s.to_position is null or s.to_position > $2)`,
)
