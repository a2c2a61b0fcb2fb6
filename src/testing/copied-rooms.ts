import pg from 'pg'
import type { RoomId } from '../matrix/ids.ts'

/**
 * Copies a room as often as is asked, in the database alone, and in no time: each copy has the events of the room, its state and its
 * members, at positions of its own. No server may run on the database meanwhile. Rooms of version 12 alone: their ids are made of
 * the event that creates them.
 */
export async function copyRoom(databaseUrl: string, roomId: RoomId, copies: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query('begin')
    for (const [text, values] of statementsFor(roomId, copies)) await client.query(text, values)
    await client.query('commit')
  } finally {
    await client.end()
  }
}

const statementsFor = (roomId: RoomId, copies: number): readonly [text: string, values?: unknown[]][] => [
  [
    `create temporary table source on commit drop as
   select r.*, first, last - first + 1 as span, s.position as top from rooms r cross join stream s cross join lateral (
     select min(event_nid) as first, max(event_nid) as last from events e where e.room = r.room) b
   where r.room_id = $1`,
    [roomId],
  ],
  [
    `create function pg_temp.copied(id bytea, copy int) returns bytea language sql immutable as
   $$ select sha256(id || int4send(copy)) $$`,
  ],
  // How far what is at a position of the room is moved for each copy.
  [
    `create temporary table copies on commit drop as
   select copy, top - first + 1 + (copy - 1) * span as by,
     '!' || translate(encode(pg_temp.copied(e.event_id, copy), 'base64'), '+/=', '-_') as room_id
   from source cross join generate_series(1, $1::int) copy join events e on e.event_nid = source.first`,
    [copies],
  ],
  [
    `insert into rooms (room_id, room_version, version, extremities, notify_count, highlight_count, joined_members, invited_members, depth)
   select c.room_id, room_version, version, (select array_agg(nid + c.by) from unnest(extremities) nid), notify_count,
     highlight_count, joined_members, invited_members, depth from source cross join copies c`,
  ],
  [
    'create temporary table made on commit drop as select c.copy, c.by, r.room from copies c join rooms r using (room_id)',
  ],
  [
    `insert into events (event_nid, room, timeline, event_id, kind, sender, depth, origin_server_ts, flags, notify_index,
     highlight_index, edges, proof, content, rest)
   select event_nid + by, m.room, timeline + by, pg_temp.copied(event_id, copy), kind, sender, e.depth, origin_server_ts, flags,
     notify_index, highlight_index, edges, proof, content, rest
   from made m cross join source s join events e on e.room = s.room`,
  ],
  [
    `insert into room_state (room, kind, is_member, from_position, to_position, event_nid)
   select m.room, kind, is_member, from_position + by, to_position + by, event_nid + by
   from made m cross join source s join room_state e on e.room = s.room`,
  ],
  [
    `insert into room_users (user_nid, room, membership, event_nid, since, read_position, read_notify_index, read_highlight_index)
   select user_nid, m.room, membership, event_nid + by, since + by, read_position + by, read_notify_index, read_highlight_index
   from made m cross join source s join room_users e on e.room = s.room`,
  ],
  ['update stream set position = position + (select count(*) * max(span) from made, source)'],
  // What follows the stream has no need to look at them.
  ['update stream_followers set position = (select position from stream)'],
  ['analyze events, room_state, room_users, rooms'],
]
