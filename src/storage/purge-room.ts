import { type Query, statement } from './database.ts'

/** In this order: what names events goes before them. Each has an index that finds the rows of a room. */
const tablesOfRooms = [
  'room_state',
  'event_relations',
  'receipts',
  'missing_events',
  'pending_redactions',
  'state_deltas',
  'thread_subscriptions',
  'sticky_events',
]

/** Of users: our users' rows are found by the users, who are forgotten last. */
const tablesOfUsers = ['push_exceptions', 'account_data', 'remote_memberships']

/** What makes a room known, and what is done for it: goes at once. */
const goesAtOnce = [
  'room_users',
  'partial_rooms',
  'staged_events',
  'room_aliases',
  'published_rooms',
  'network_rooms',
  'server_notice_rooms',
]

/** What goes with the events it is about, by itself. */
const goesWithEvents = ['searchable_events']

/** Every table with something about rooms, but for what stays: the number itself, and reports. */
export const tablesPurged = [...tablesOfRooms, ...tablesOfUsers, ...goesAtOnce, 'events', ...goesWithEvents]

/**
 * Makes a room unknown at once: its number is nobody's any more, so whoever remembers the number finds nothing, and the room
 * can be joined anew under another. What is left of it goes by `deleteRemains`.
 *
 * @returns our users who had to do with it.
 */
export async function retireRoom(query: Query, room: number): Promise<number[]> {
  await query('select from rooms where room = $1 for update', [room])
  const users = await query<{ user_nid: number }>(
    'select user_nid from room_users join accounts using (user_nid) where room = $1',
    [room],
  )
  const nids = users.map((row) => row.user_nid)
  for (const table of tablesOfUsers) {
    await query(`delete from ${table} where user_nid = any($2::int[]) and room = $1`, [room, nids])
  }
  for (const table of goesAtOnce) {
    await query(`delete from ${table} where room = $1`, [room])
  }
  await query('delete from delayed_events d using rooms r where r.room = $1 and d.room_id = r.room_id', [room])
  await query(
    `update rooms set room_id = 'purged ' || room || ' ' || room_id, version = version + 1, extremities = '{}',
       notify_count = 0, highlight_count = 0, joined_members = 0, invited_members = 0, depth = 0, partial_state = false
     where room = $1`,
    [room],
  )
  return nids
}

/** The numbers that a room had and that are not yet known to be empty. */
export const retiredNumbers = statement<{ room: number }>(
  'retired numbers of a room',
  `select room from rooms where room_id > 'purged ' and room_id < 'purged!' and room_id = 'purged ' || room || ' ' || $1
     and (exists (select from events e where e.room = rooms.room and e.timeline is not null)
       or exists (select from events e where e.room = rooms.room and e.flags & 1 = 1)
       or exists (select from room_state s where s.room = rooms.room)
       or exists (select from receipts s where s.room = rooms.room))`,
)

/** The id of a room that an expression names, whether or not the room was purged. */
export function originalRoomId(expression: string): string {
  return `regexp_replace(${expression}, '^purged [0-9]+ ', '')`
}

/** Requests by which our users sent something there. */
export async function forgetTransactions(query: Query, room: number): Promise<void> {
  await query(
    'delete from transactions t using events e where e.event_nid = t.event_nid and e.room = $1 and e.timeline is not null',
    [room],
  )
}

/** Finds the events of a room by each of the indexes there are; what no index finds is little. */
const someEvents = ['timeline is not null', 'flags & 1 = 1', 'true']

/**
 * Deletes some of what a retired number still has. Each call is a transaction of its own, so that nobody waits long.
 *
 * @param some How many rows of a table at once.
 * @returns false once nothing is left.
 */
export async function deleteRemains(query: Query, room: number, some: number): Promise<boolean> {
  // Members again: somebody may have been writing them.
  for (const table of [...tablesOfRooms, 'room_users']) {
    if ((await deleteSome(query, table, 'room = $1', room, some)) > 0) return true
  }
  for (const condition of someEvents) {
    if ((await deleteSome(query, 'events', `room = $1 and ${condition}`, room, some)) > 0) return true
  }
  return false
}

async function deleteSome(query: Query, table: string, where: string, room: number, some: number): Promise<number> {
  const [row] = await query<{ count: number }>(
    `with gone as (
       delete from ${table} where ctid = any(array(select ctid from ${table} where ${where} limit $2)) returning 1)
     select count(*) as count from gone`,
    [room, some],
  )
  return row!.count
}

/** Servers with members in a room that have not been told of it up to a position, though they can be reached. */
export const serversBehind = statement<{ server: string }>(
  'servers behind in a room',
  `select distinct s.server from (
     select substr(user_id, position(':' in user_id) + 1) as server from room_users join users using (user_nid)
     where room = $1 and membership = 1) s
   left join destinations d on d.server_name = s.server
   where s.server <> all($3::text[]) and coalesce(d.failures, 0) = 0 and coalesce(d.acked_position, 0) < $2 limit 1`,
)
