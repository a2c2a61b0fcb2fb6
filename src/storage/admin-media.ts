import { sql } from 'kysely'
import type { UserId } from '../matrix/ids.ts'
import type { Page } from './admin-users.ts'
import { type Db, statement } from './database.ts'

/** Media as administrators see them. */
export type ListedMedia = {
  server_name: string
  media_id: string
  created_at: number
  content_type: string | null
  filename: string | null
  size: number | null
  quarantined_by: string | null
  protected: boolean
  uploader: UserId | null
}

const columns = `m.server_name, m.media_id, m.created_at, m.content_type, m.filename, b.size, m.quarantined_by, m.protected,
  u.user_id as uploader`
const source = 'from media m left join blobs b using (sha256) left join users u on u.user_nid = m.uploader'

export const listedMedia = statement<ListedMedia>(
  'listed media',
  `select ${columns} ${source} where m.server_name = $1 and m.media_id = $2`,
)

/** What a list of media can be ordered by. */
export const mediaOrders = {
  media_id: 'm.media_id',
  upload_name: 'm.filename',
  created_ts: 'm.created_at',
  // Not kept.
  last_access_ts: 'm.created_at',
  media_length: 'b.size',
  media_type: 'm.content_type',
  quarantined_by: 'm.quarantined_by',
  safe_from_quarantine: 'm.protected',
} as const

export async function mediaOfUser(
  db: Db,
  userNid: number,
  page: Page & { readonly order: keyof typeof mediaOrders },
): Promise<{ media: ListedMedia[]; total: number }> {
  const direction = sql.raw(page.backwards ? 'desc nulls last' : 'asc nulls first')
  const [{ rows: media }, { rows: counted }] = await Promise.all([
    sql<ListedMedia>`select ${sql.raw(columns)} ${sql.raw(source)} where m.uploader = ${userNid} and m.sha256 is not null
      order by ${sql.raw(mediaOrders[page.order])} ${direction}, m.media_id limit ${page.limit} offset ${page.from}`.execute(
      db,
    ),
    sql<{
      count: number
    }>`select count(*) as count from media where uploader = ${userNid} and sha256 is not null`.execute(db),
  ])
  return { media, total: counted[0]!.count }
}

/** Takes media out of use, or with null puts them back; what is protected is left alone. */
export const quarantineById = statement<{ media_id: string }>(
  'quarantine media',
  `update media set quarantined_by = $3::text
   where server_name = $1 and media_id = $2 and (not protected or $3::text is null)
   returning media_id`,
)
export const quarantineOfUser = statement<{ media_id: string }>(
  'quarantine media of a user',
  `update media set quarantined_by = $2 where uploader = $1 and not protected and quarantined_by is null returning media_id`,
)
/** Arrays of server names and media ids. */
export const quarantineMany = statement<{ media_id: string }>(
  'quarantine many media',
  `update media m set quarantined_by = $3 from unnest($1::text[], $2::text[]) as w(server_name, media_id)
   where m.server_name = w.server_name and m.media_id = w.media_id and not m.protected and m.quarantined_by is null
   returning m.media_id`,
)
export const quarantineChanges = statement<{
  change: number
  server_name: string
  media_id: string
  quarantined: boolean
}>(
  'changes of quarantine',
  'select change, server_name, media_id, quarantined from quarantine_changes where change > $1 order by change limit $2',
)
export const protectMedia = statement<{ media_id: string }>(
  'protect media',
  'update media set protected = $3 where server_name = $1 and media_id = $2 returning media_id',
)

/**
 * The URIs of media that some events of a room name, where they can be read: those after a position, and up to which that is.
 */
export const mediaInRoom = statement<{ reached: number | null; uris: string[] | null }>(
  'media in a room',
  `with page as (
     select timeline, content from events where room = $1 and timeline > $2 order by timeline limit $3)
   select (select max(timeline) from page) as reached,
     (select array_agg(distinct m[1]) from page,
        regexp_matches(content, '"(mxc://[^"/\\\\ ]+/[^"?#/\\\\ ]+)"', 'g') as m) as uris`,
)

/** Media of our domains that are old and larger than a size; pictures of users and rooms are kept if `$4`. */
export const oldMedia = statement<{ server_name: string; media_id: string }>(
  'old media',
  `with pictures as materialized (
     select json_text(fields, 'avatar_url') as uri from profiles where $4
     union select json_text(e.content, case k.type when 'm.room.avatar' then 'url' else 'avatar_url' end)
       from event_kinds k join room_state s using (kind) join events e using (event_nid)
       where $4 and k.type in ('m.room.avatar', 'm.room.member') and s.to_position is null)
   select m.server_name, m.media_id from media m join blobs b using (sha256)
     left join pictures p on p.uri = 'mxc://' || m.server_name || '/' || m.media_id
   where m.uploader is not null and m.created_at < $1 and b.size > $2 and m.server_name = any($3::text[])
     and not m.protected and m.quarantined_by is null and p.uri is null
   order by m.created_at limit 1000`,
)

/** Media of other servers that came before a moment. */
export const oldRemoteMedia = statement<{ server_name: string; media_id: string }>(
  'old media of other servers',
  `select server_name, media_id from media where uploader is null and created_at < $1 and quarantined_by is null limit 1000`,
)

export const mediaStatisticOrders = {
  user_id: 'u.user_id',
  displayname: `json_text(p.fields, 'displayname')`,
  media_length: 'sum(b.size)',
  media_count: 'count(*)',
} as const

export type MediaStatistic = { user_id: string; displayname: string | null; media_count: number; media_length: number }

/** How much each user has uploaded. */
export async function mediaStatistics(
  db: Db,
  filter: {
    readonly search: string | undefined
    readonly since: number | undefined
    readonly until: number | undefined
  },
  page: Page & { readonly order: keyof typeof mediaStatisticOrders },
): Promise<{ users: MediaStatistic[]; total: number }> {
  const conditions = [sql`true`]
  if (filter.search !== undefined) {
    conditions.push(sql`(strpos(lower(u.user_id), lower(${filter.search})) > 0
      or strpos(lower(json_text(p.fields, 'displayname')), lower(${filter.search})) > 0)`)
  }
  if (filter.since !== undefined) conditions.push(sql`m.created_at >= ${filter.since}`)
  if (filter.until !== undefined) conditions.push(sql`m.created_at <= ${filter.until}`)
  const direction = sql.raw(page.backwards ? 'desc' : 'asc')
  const grouped = sql`from media m join blobs b using (sha256) join users u on u.user_nid = m.uploader
    left join profiles p on p.user_nid = u.user_nid where ${sql.join(conditions, sql` and `)} group by u.user_id, p.fields`
  const [{ rows: users }, { rows: counted }] = await Promise.all([
    sql<MediaStatistic>`select u.user_id, json_text(p.fields, 'displayname') as displayname, count(*) as media_count,
      sum(b.size)::int8 as media_length ${grouped}
      order by ${sql.raw(mediaStatisticOrders[page.order])} ${direction}, u.user_id limit ${page.limit} offset ${page.from}`.execute(
      db,
    ),
    sql<{ count: number }>`select count(*) as count from (select 1 ${grouped}) as x`.execute(db),
  ])
  return { users, total: counted[0]!.count }
}
