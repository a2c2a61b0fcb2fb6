import type { RoomId } from '../matrix/ids.ts'
import { statement } from './database.ts'
import type { EventRow } from './event-rows.ts'

/** What the store of events asks the database, a statement each. */

/** A row of `events` with its room. `edges` and `proof` are only there where somebody else is to check the event. */
export type LoadedRow = Omit<EventRow, 'edges' | 'proof'> &
  Partial<Pick<EventRow, 'edges' | 'proof'>> & { redacted_by: number | null; room_id: RoomId; room_version: string }

const columns = `e.event_nid, e.room, e.timeline, e.event_id, e.kind, e.sender, e.depth, e.origin_server_ts, e.flags,
  e.notify_index, e.highlight_index, e.state_delta, e.content, e.rest, e.redacted_by, r.room_id, r.room_version`
const wholeColumns = `${columns}, e.edges, e.proof`

export const selectByNid = statement<LoadedRow>(
  'events by nid',
  `select ${columns} from events e join rooms r using (room) where e.event_nid = any($1::int8[])`,
)
export const selectById = statement<LoadedRow>(
  'events by id',
  `select ${columns} from events e join rooms r using (room) where e.event_id = any($1::bytea[])`,
)
export const selectWholeByNid = statement<LoadedRow>(
  'whole events by nid',
  `select ${wholeColumns} from events e join rooms r using (room) where e.event_nid = any($1::int8[])`,
)
export const selectWholeById = statement<LoadedRow>(
  'whole events by id',
  `select ${wholeColumns} from events e join rooms r using (room) where e.event_id = any($1::bytea[])`,
)
export const selectState = statement<LoadedRow & { from_position: number }>(
  'current state by kind',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.kind = any($2::int[]) and s.to_position is null`,
)
export const selectAllState = statement<LoadedRow & { from_position: number }>(
  'current state',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.to_position is null`,
)
export const selectStateAt = statement<LoadedRow & { from_position: number }>(
  'state at a position',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.from_position <= $2 and (s.to_position is null or s.to_position > $2)
     and ($3::int[] is null or s.kind = any($3::int[]))`,
)
export const selectMembers = statement<LoadedRow & { from_position: number }>(
  'members of a room',
  `select ${columns}, s.from_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = $1 and s.is_member and s.to_position is null`,
)
export const selectStatesAt = statement<LoadedRow & { from_position: number }>(
  'states of rooms',
  `select ${columns}, s.from_position from unnest($1::int[], $2::int8[]) as w(room, position)
   join room_state s on s.room = w.room and s.from_position <= w.position
     and (s.to_position is null or s.to_position > w.position) and (not s.is_member or $3)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
export const selectEntriesAt = statement<LoadedRow & { from_position: number }>(
  'entries of states',
  `select ${columns}, s.from_position from unnest($1::int[], $2::int[], $3::int8[]) as w(room, kind, position)
   join room_state s on s.room = w.room and s.kind = w.kind and s.from_position <= w.position
     and (s.to_position is null or s.to_position > w.position)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
export const selectChanges = statement<LoadedRow & { from_position: number }>(
  'changes of states',
  `select ${columns}, s.from_position from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, after, up_to)
   join room_state s on s.room = w.room and s.from_position > w.after and s.from_position <= w.up_to
     and (s.to_position is null or s.to_position > w.up_to)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
export const selectHistory = statement<LoadedRow & { from_position: number; to_position: number | null }>(
  'history of entries',
  `select ${columns}, s.from_position, s.to_position from room_state s
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where s.room = any($1::int[]) and s.kind = any($2::int[]) order by s.from_position`,
)
export const selectReplaced = statement<LoadedRow & { replaced_at: number }>(
  'replaced entries',
  `select ${columns}, s.to_position as replaced_at from unnest($1::int[], $2::int[], $3::int8[]) as w(room, kind, position)
   join room_state s on s.room = w.room and s.kind = w.kind and s.to_position = w.position
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
export const selectForward = statement<LoadedRow>(
  'timeline forwards',
  `select ${columns} from events e join rooms r using (room)
   where e.room = $1 and e.timeline > $2 and e.timeline <= $3 order by e.timeline limit $4`,
)
export const selectForwardInRooms = statement<LoadedRow>(
  'timelines forwards',
  `select ${columns} from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, after, up_to) join rooms r using (room)
   cross join lateral (
     select * from events where events.room = w.room and events.timeline > w.after and events.timeline <= w.up_to
     order by timeline limit $4) e
   order by e.timeline limit $4`,
)
export const selectBackward = statement<LoadedRow>(
  'timeline backwards',
  `select ${columns} from events e join rooms r using (room)
   where e.room = $1 and e.timeline <= $2 and e.timeline > $3 order by e.timeline desc limit $4`,
)
export const selectNewest = statement<LoadedRow>(
  'newest timelines',
  `select ${columns} from unnest($1::int[]) as w(room) join rooms r using (room)
   cross join lateral (
     select * from events where events.room = w.room and events.timeline > $2 and events.timeline <= $3
     order by timeline desc limit $4) e`,
)
// With `from_position` an entry of the state, else an event of a timeline.
export const selectTimelines = statement<LoadedRow & { from_position: number | null; to_position: number | null }>(
  'timelines and what decides about seeing them',
  `select ${columns}, null as from_position, null as to_position
   from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, after, up_to) join rooms r using (room)
   cross join lateral (
     select * from events where events.room = w.room and events.timeline > w.after and events.timeline <= w.up_to
     order by timeline desc limit $4) e
   union all
   select ${columns}, s.from_position, s.to_position from event_kinds k
   join room_state s on s.room = any($5::int[]) and s.kind = k.kind
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   where k.type = 'm.room.history_visibility' and k.state_key = '' or k.type = 'm.room.member' and k.state_key = $6`,
)

// Entries that were in force at the start of the timeline, or came to be in it and still are at its end.
export const selectStateSpans = statement<
  LoadedRow & { from_position: number; to_position: number | null; part: string }
>(
  'states around timelines',
  `select ${columns}, s.from_position, s.to_position, 'whole' as part
   from unnest($1::int[], $2::int8[], $3::int8[]) as w(room, start, up_to)
   join room_state s on s.room = w.room and s.from_position <= w.up_to and (not s.is_member or $4)
     and (s.to_position is null or s.to_position > case when s.from_position <= w.start then w.start else w.up_to end)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns}, s.from_position, s.to_position, 'changed'
   from unnest($5::int[], $6::int8[], $7::int8[], $8::int8[]) as w(room, after, start, up_to)
   join room_state s on s.room = w.room and s.from_position > w.after and s.from_position <= w.up_to
     and (s.to_position is null or s.to_position > case when s.from_position <= w.start then w.start else w.up_to end)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns}, s.from_position, s.to_position, 'member'
   from unnest($9::int[], $10::text[], $11::int8[]) as w(room, user_id, position)
   join event_kinds k on k.type = 'm.room.member' and k.state_key = w.user_id
   join room_state s on s.room = w.room and s.kind = k.kind and s.from_position <= w.position
     and (s.to_position is null or s.to_position > w.position)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns}, s.from_position, s.to_position, 'replaced'
   from unnest($12::int[], $13::int[], $14::int8[]) as w(room, kind, position)
   join room_state s on s.room = w.room and s.kind = w.kind and s.to_position = w.position
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
export const selectWanted = statement<LoadedRow>(
  'wanted state',
  `select ${columns} from unnest($1::int[], $2::text[], $3::text[], $4::int8[], $5::int8[])
     as w(room, type, state_key, after, up_to)
   join event_kinds k on k.type = w.type and k.state_key = w.state_key
   join room_state s on s.room = w.room and s.kind = k.kind and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns} from unnest($6::int[], $7::text[], $8::int8[], $9::int8[]) as w(room, type, after, up_to)
   join room_state s on s.room = w.room and not s.is_member and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join event_kinds k on k.kind = s.kind and (w.type is null or k.type = w.type)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room
   union all
   select ${columns} from unnest($10::int[], $11::int8[], $12::int8[]) as w(room, after, up_to)
   join room_state s on s.room = w.room and s.is_member and s.from_position > w.after
     and s.from_position <= w.up_to and (s.to_position is null or s.to_position > w.up_to)
   join events e on e.event_nid = s.event_nid join rooms r on r.room = s.room`,
)
export const selectIds = statement<{ event_nid: number; event_id: Buffer }>(
  'event ids by nid',
  'select event_nid, event_id from events where event_nid = any($1::int8[])',
)
