import { sql } from 'kysely'
import type { Page } from './admin-users.ts'
import { type Db, statement } from './database.ts'

/** Another server, over all domains of ours. */
export type ListedDestination = {
  destination: string
  failures: number
  retry_at: number
  acked_position: number
}

export const destinationOrders = {
  destination: 'server_name',
  retry_last_ts: 'max(retry_at)',
  retry_interval: 'max(failures)',
  failure_ts: 'max(retry_at)',
  last_successful_stream_ordering: 'min(coalesce(missed_after, acked_position))',
} as const

const columns = `server_name as destination, max(failures) as failures, max(retry_at) as retry_at,
  min(coalesce(missed_after, acked_position)) as acked_position`

export async function listDestinations(
  db: Db,
  search: string | undefined,
  page: Page & { readonly order: keyof typeof destinationOrders },
): Promise<{ destinations: ListedDestination[]; total: number }> {
  const where = search === undefined ? sql`true` : sql`strpos(server_name, lower(${search})) > 0`
  const direction = sql.raw(page.backwards ? 'desc' : 'asc')
  const [{ rows: destinations }, { rows: counted }] = await Promise.all([
    sql<ListedDestination>`select ${sql.raw(columns)} from destinations where ${where} group by server_name
      order by ${sql.raw(destinationOrders[page.order])} ${direction}, server_name
      limit ${page.limit} offset ${page.from}`.execute(db),
    sql<{ count: number }>`select count(distinct server_name) as count from destinations where ${where}`.execute(db),
  ])
  return { destinations, total: counted[0]!.count }
}

export const destinationByName = statement<ListedDestination>(
  'a listed destination',
  `select ${columns} from destinations where server_name = $1 group by server_name`,
)

export const resetDestination = statement<never>(
  'reset a destination',
  'update destinations set failures = 0, retry_at = 0 where server_name = $1',
)

/** Rooms that we share with a server, each with the last event that was for it. */
export const roomsOfDestination = statement<{ room_id: string; stream_ordering: number; count: number }>(
  'rooms of a destination',
  // As in the index by server.
  `select room_id, (select max(e.timeline) from events e where e.room = r.room) as stream_ordering,
     count(*) over () as count
   from rooms r where r.room in (select m.room from users u join room_users m using (user_nid)
     where substr(u.user_id, position(':' in u.user_id) + 1) = $1 and m.membership = 1)
   order by room_id limit $2 offset $3`,
)
