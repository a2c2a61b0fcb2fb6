import { sql } from 'kysely'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { Page } from './admin-users.ts'
import { type Db, statement } from './database.ts'
import { originalRoomId } from './purge-room.ts'

/** What a user reported: an event, a whole room or a user. */
export type ReportRow = {
  report: number
  received_at: number
  reason: string | null
  reporter: UserId
  room_id: RoomId | null
  event_nid: number | null
  sender: UserId | null
  reported_user: UserId | null
  name: string | null
  canonical_alias: string | null
}

function state(type: string, key: string): string {
  return `(select json_text(s_e.content, '${key}') from event_kinds k join room_state s using (kind)
    join events s_e on s_e.event_nid = s.event_nid
    where k.type = '${type}' and k.state_key = '' and s.room = p.room and s.to_position is null)`
}

const columns = `p.report, p.received_at, p.reason, by_user.user_id as reporter,
  ${originalRoomId('r.room_id')} as room_id, p.event_nid,
  of_user.user_id as sender, about.user_id as reported_user,
  ${state('m.room.name', 'name')} as name, ${state('m.room.canonical_alias', 'alias')} as canonical_alias`
const source = `from reports p join users by_user on by_user.user_nid = p.reporter
  left join rooms r using (room) left join events e on e.event_nid = p.event_nid
  left join users of_user on of_user.user_nid = e.sender left join users about on about.user_nid = p.reported_user`

export type ReportFilter = {
  readonly about: 'events' | 'users'
  readonly reporter: string | undefined
  readonly roomId: string | undefined
  readonly sender: string | undefined
  readonly reportedUser: string | undefined
}

export async function listReports(
  db: Db,
  filter: ReportFilter,
  page: Page,
): Promise<{ reports: ReportRow[]; total: number }> {
  const conditions = [filter.about === 'events' ? sql`p.event_nid is not null` : sql`p.reported_user is not null`]
  if (filter.reporter !== undefined) conditions.push(sql`strpos(by_user.user_id, ${filter.reporter}) > 0`)
  if (filter.roomId !== undefined) conditions.push(sql`strpos(r.room_id, ${filter.roomId}) > 0`)
  if (filter.sender !== undefined) conditions.push(sql`of_user.user_id = ${filter.sender}`)
  if (filter.reportedUser !== undefined) conditions.push(sql`strpos(about.user_id, ${filter.reportedUser}) > 0`)
  const where = sql.join(conditions, sql` and `)
  const direction = sql.raw(page.backwards ? 'desc' : 'asc')
  const [{ rows: reports }, { rows: counted }] = await Promise.all([
    sql<ReportRow>`select ${sql.raw(columns)} ${sql.raw(source)} where ${where}
      order by p.received_at ${direction}, p.report ${direction} limit ${page.limit} offset ${page.from}`.execute(db),
    sql<{ count: number }>`select count(*) as count ${sql.raw(source)} where ${where}`.execute(db),
  ])
  return { reports, total: counted[0]!.count }
}

export const reportById = statement<ReportRow>('a report', `select ${columns} ${source} where p.report = $1`)

export const deleteReport = statement<{ report: number }>(
  'delete a report',
  'delete from reports where report = $1 returning report',
)
