import { sql } from 'kysely'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { Page } from './admin-users.ts'
import { type Db, type Query, statement } from './database.ts'
import { membershipCodes } from './room-users.ts'

/** A room as administrators see it in a list. */
export type ListedRoom = {
  room: number
  room_id: RoomId
  version: string
  joined_members: number
  joined_local_members: number
  state_events: number
  name: string | null
  topic: string | null
  avatar: string | null
  canonical_alias: string | null
  creator: UserId | null
  encryption: string | null
  federatable: boolean
  public: boolean
  join_rules: string | null
  guest_access: string | null
  history_visibility: string | null
  room_type: string | null
}

/** The content of an entry of the current state. */
function state(type: string, key: string): string {
  return `(select json_text(e.content, '${key}') from event_kinds k join room_state s using (kind) join events e using (event_nid)
    where k.type = '${type}' and k.state_key = '' and s.room = r.room and s.to_position is null)`
}

const expressions = {
  room_id: 'r.room_id',
  version: 'r.room_version',
  joined_members: 'r.joined_members',
  joined_local_members: `(select count(*) from room_users m join accounts using (user_nid)
    where m.room = r.room and m.membership = ${membershipCodes.join})`,
  state_events:
    '(select count(*) from room_state s where s.room = r.room and s.to_position is null and s.event_nid is not null)',
  name: state('m.room.name', 'name'),
  topic: state('m.room.topic', 'topic'),
  avatar: state('m.room.avatar', 'url'),
  canonical_alias: state('m.room.canonical_alias', 'alias'),
  creator: `(select u.user_id from event_kinds k join room_state s using (kind) join events e using (event_nid)
    join users u on u.user_nid = e.sender
    where k.type = 'm.room.create' and k.state_key = '' and s.room = r.room and s.to_position is null)`,
  encryption: state('m.room.encryption', 'algorithm'),
  federatable: `coalesce(${state('m.room.create', 'm.federate')} <> 'false', true)`,
  public: 'exists (select from published_rooms p where p.room = r.room)',
  join_rules: state('m.room.join_rules', 'join_rule'),
  guest_access: state('m.room.guest_access', 'guest_access'),
  history_visibility: state('m.room.history_visibility', 'history_visibility'),
  room_type: state('m.room.create', 'type'),
} as const

const columns = `r.room, ${Object.entries(expressions)
  .map(([name, expression]) => `${expression} as ${name}`)
  .join(', ')}`

/** What a list of rooms can be ordered by. */
export const roomOrders = {
  ...expressions,
  // As older tools call them.
  alphabetical: expressions.name,
  size: expressions.joined_members,
} as const

const known = `r.extremities <> '{}'`

export const listedRoom = statement<ListedRoom>(
  'a listed room',
  `select ${columns} from rooms r where r.room_id = $1 and ${known}`,
)

export type RoomFilter = {
  readonly search: string | undefined
  readonly isPublic: boolean | undefined
  readonly isEmpty: boolean | undefined
}

export async function listRooms(
  db: Db,
  filter: RoomFilter,
  page: Page & { readonly order: keyof typeof roomOrders },
): Promise<{ rooms: ListedRoom[]; total: number }> {
  const conditions = [sql.raw(known)]
  const { search } = filter
  if (search !== undefined) {
    conditions.push(
      sql`(strpos(lower(${sql.raw(expressions.name)}), lower(${search})) > 0
      or strpos(lower(${sql.raw(expressions.canonical_alias)}), lower(${search})) > 0 or r.room_id = ${search})` as never,
    )
  }
  if (filter.isPublic !== undefined) conditions.push(sql`${sql.raw(expressions.public)} = ${filter.isPublic}` as never)
  if (filter.isEmpty !== undefined) conditions.push(sql`(r.joined_members = 0) = ${filter.isEmpty}` as never)
  const where = sql.join(conditions, sql` and `)
  const direction = sql.raw(page.backwards ? 'desc nulls last' : 'asc nulls last')
  const [{ rows: rooms }, { rows: counted }] = await Promise.all([
    sql<ListedRoom>`select ${sql.raw(columns)} from rooms r where ${where}
      order by ${sql.raw(roomOrders[page.order])} ${direction}, r.room_id limit ${page.limit} offset ${page.from}`.execute(
      db,
    ),
    sql<{ count: number }>`select count(*) as count from rooms r where ${where}`.execute(db),
  ])
  return { rooms, total: counted[0]!.count }
}

export const joinedUserIds = statement<{ user_id: UserId }>(
  'ids of joined users',
  `select user_id from room_users join users using (user_nid)
   where room = $1 and membership = ${membershipCodes.join} order by user_id`,
)

/** Our users in a room, or invited to it, or knocking. */
export const localUsersIn = statement<{ user_id: UserId; user_nid: number; membership: number }>(
  'local users in a room',
  `select user_id, user_nid, membership from room_users join users using (user_nid) join accounts using (user_nid)
   where room = $1 and membership in (${membershipCodes.join}, ${membershipCodes.invite}, ${membershipCodes.knock})
   order by user_nid`,
)

export const extremitiesOf = statement<{ event_nid: number; depth: number; origin_server_ts: number }>(
  'extremities of a room',
  `select e.event_nid, e.depth, e.origin_server_ts from rooms r join events e on e.event_nid = any(r.extremities)
   where r.room_id = $1 order by e.event_nid`,
)

/** Of the visible events the first at or after, or the last at or before, a moment. */
export const eventNearest = {
  f: statement<{ event_nid: number }>(
    'event after a moment',
    `select event_nid from events where room = $1 and timeline is not null and origin_server_ts >= $2
     order by origin_server_ts, timeline limit 1`,
  ),
  b: statement<{ event_nid: number }>(
    'event before a moment',
    `select event_nid from events where room = $1 and timeline is not null and origin_server_ts <= $2
     order by origin_server_ts desc, timeline desc limit 1`,
  ),
} as const

/** A block of an administrator stays when the purge ends that has blocked the room, too. */
export async function blockRoom(
  db: Db,
  block: { room_id: string; blocked_by: string; blocked_at: number },
): Promise<void> {
  await db
    .insertInto('blocked_rooms')
    .values(block)
    .onConflict((conflict) => conflict.column('room_id').doUpdateSet({ until_purged: false }))
    .execute()
}

/** Unless it is blocked anyway. */
export async function blockUntilPurged(
  db: Db,
  block: { room_id: string; blocked_by: string; blocked_at: number },
): Promise<void> {
  await db
    .insertInto('blocked_rooms')
    .values({ ...block, until_purged: true })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function unblockPurged(db: Db, roomId: string): Promise<void> {
  await db.deleteFrom('blocked_rooms').where('room_id', '=', roomId).where('until_purged', '=', true).execute()
}

export async function unblockRoom(db: Db, roomId: string): Promise<void> {
  await db.deleteFrom('blocked_rooms').where('room_id', '=', roomId).execute()
}

export function findBlock(db: Db, roomId: string): Promise<{ blocked_by: string } | undefined> {
  return db.selectFrom('blocked_rooms').select('blocked_by').where('room_id', '=', roomId).executeTakeFirst()
}

/** Gives the aliases of a room to another one, or to none. @returns them. */
export async function moveAliases(query: Query, room: number, to: number | undefined): Promise<string[]> {
  const rows =
    to === undefined
      ? await query<{ alias: string }>('delete from room_aliases where room = $1 returning alias', [room])
      : await query<{ alias: string }>('update room_aliases set room = $2 where room = $1 returning alias', [room, to])
  await query('delete from published_rooms where room = $1', [room])
  return rows.map((row) => row.alias)
}

/** Events before a position that are no state, oldest first; with `$3`, also those of our users. */
export const purgeableEvents = statement<{ event_nid: number }>(
  'purgeable events',
  `select e.event_nid from events e
   where e.room = $1 and e.timeline < $2 and e.flags & 1 = 0
     and ($3 or not exists (select from accounts a where a.user_nid = e.sender))
   order by e.timeline limit $4`,
)

/** Takes events out of the timeline and leaves of them what a redaction leaves. Arrays of the same length. */
export const pruneEvents = statement<never>(
  'prune events',
  `with forgotten as (delete from event_relations where event_nid = any($1::int8[]))
   update events e set content = p.content, rest = p.rest, timeline = null
   from unnest($1::int8[], $2::text[], $3::text[]) as p(event_nid, content, rest) where e.event_nid = p.event_nid`,
)

export const placeOfEvent = statement<{ timeline: number | null; room: number }>(
  'place of an event',
  'select timeline, room from events where event_id = $1',
)
export const firstEventSince = statement<{ timeline: number | null }>(
  'first event since a moment',
  `select min(timeline) as timeline from events where room = $1 and timeline is not null and origin_server_ts >= $2`,
)

/** Events that are measured where there are more. */
const measured = 100_000

/** The part of the events that is measured, in per cent. */
export const measuredShare = statement<{ share: number }>(
  'measured share of the events',
  `select least(100, greatest(0.01, 100 * ${measured}::float8 / greatest(reltuples, 1))) as share
   from pg_class where oid = 'events'::regclass`,
)

/** The rooms that take the most room in the database, by the size of their events, of which a part is measured. */
export const largestRooms = statement<{ room_id: RoomId; estimated_size: number }>(
  'largest rooms',
  `select room_id, (sum(pg_column_size(e.*)) * 100 / $1::float8)::int8 as estimated_size
   from events e tablesample system ($1::float8) join rooms using (room)
   group by room_id order by estimated_size desc limit 10`,
)
