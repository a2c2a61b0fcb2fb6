import type { RoomId } from '../matrix/ids.ts'
import { type Query, statement } from './database.ts'
import { operation } from './operation.ts'
import { membershipCodes } from './room-users.ts'

/** `searchable_events.key`. */
export const searchKeyCodes = { 'content.body': 1, 'content.name': 2, 'content.topic': 3 } as const
export type SearchKey = keyof typeof searchKeyCodes

export type SearchableRow = {
  event_nid: number
  room: number
  key: number
  sender: number
  timeline: number
  origin_server_ts: number
  words: string
}

/** Before `redact events`, so that what is redacted in the same batch is forgotten. */
export const insertSearchableEvents = operation<SearchableRow>(
  'insert searchable_events',
  {
    event_nid: 'int8',
    room: 'int4',
    key: 'int2',
    sender: 'int4',
    timeline: 'int8',
    origin_server_ts: 'int8',
    words: 'text',
  },
  `insert into searchable_events (event_nid, room, key, sender, timeline, origin_server_ts, words)
   select event_nid, room, key, sender, timeline, origin_server_ts, words::tsvector from $rows on conflict do nothing`,
)

/**
 * The text of a tsvector: the room of an event, and its words at their places.
 *
 * @param words Letters and digits alone, in their order.
 */
export function lexemesOf(room: number, words: readonly string[]): string {
  const lexemes = words.map((word, index) => `'${word}':${Math.min(index + 1, maxPosition)}`)
  return `'${roomLexeme(room)}' ${lexemes.join(' ')}`
}

/** PostgreSQL knows no larger one. */
const maxPosition = 16_383

function roomLexeme(room: number): string {
  return `!${room}`
}

/** Rooms that a user may have seen something of, and which are not encrypted. */
export const searchableRooms = statement<{ room: number; room_id: RoomId }>(
  'searchable rooms of a user',
  `select u.room, r.room_id from room_users u join rooms r using (room)
   where u.user_nid = $1 and not u.forgotten
     and u.membership in (${membershipCodes.join}, ${membershipCodes.leave}, ${membershipCodes.ban})
     and not exists (
       select from room_state s join event_kinds k using (kind)
       where s.room = u.room and s.to_position is null and s.event_nid is not null
         and k.type = 'm.room.encryption' and k.state_key = '')`,
)

/** The last one that a page had: the next begins after it. */
export type SearchPlace = { readonly rank: number; readonly ts: number; readonly nid: number }

export type SearchHit = { event_nid: number; room: number; rank: number; origin_server_ts: number }

export type SearchQuery = {
  readonly words: readonly string[]
  readonly keys: readonly SearchKey[]
  /** What of rooms may be found: positions of their timelines, both included. Spans of a room do not overlap. */
  readonly spans: readonly { readonly room: number; readonly first: number; readonly last: number }[]
  readonly byRank: boolean
  readonly after: SearchPlace | undefined
  /** The number of the only sender that is wanted. */
  readonly sender: number | undefined
  readonly limit: number
}

// The order is that of the results; `total` is there also when the page is empty. Only what is ordered by it is ranked as a whole.
const searchBy = (order: 'rank' | 'recent'): string => {
  const rank = 'ts_rank(s.words, $2::tsquery) as rank'
  const place = order === 'rank' ? 'rank, origin_server_ts, event_nid' : 'origin_server_ts, event_nid'
  const after = order === 'rank' ? '($8::float4, $9::int8, $10::int8)' : '($9::int8, $10::int8)'
  const ordered = `${place.replaceAll(',', ' desc,')} desc`
  return `with hits as materialized (
      select s.event_nid, s.room, s.origin_server_ts${order === 'rank' ? `, ${rank}` : ''}
      from searchable_events s
      join unnest($4::int[], $5::int8[], $6::int8[]) as v(room, first, last)
        on v.room = s.room and s.timeline between v.first and v.last
      where s.words @@ $1::tsquery and s.key = any($3::int2[]) and ($7::int is null or s.sender = $7)),
    page as materialized (
      select * from hits where $8::float4 is null or (${place}) < ${after} order by ${ordered} limit $11)
    select t.total, p.* from (select count(*)::int as total from hits) t left join lateral (
      select page.event_nid, page.room, page.origin_server_ts, ${order === 'rank' ? 'page.rank' : rank}
      from page${order === 'rank' ? '' : ' join searchable_events s using (event_nid)'}) p on true
    order by ${ordered}`
}
const searches = { rank: searchBy('rank'), recent: searchBy('recent') }

/** With more rooms than these the index looks for the words alone, which is faster then. */
const fewRooms = 4

/** Events with all the words. */
export async function searchEvents(query: Query, wanted: SearchQuery): Promise<{ total: number; hits: SearchHit[] }> {
  const words = wanted.words.map((word) => `'${word}'`).join(' & ')
  const rooms = [...new Set(wanted.spans.map(({ room }) => room))].map((room) => `'${roomLexeme(room)}'`)
  const inRooms = rooms.length <= fewRooms ? ` & (${rooms.join(' | ')})` : ''
  const rows = await query<SearchHit & { total: number; event_nid: number | null }>(
    searches[wanted.byRank ? 'rank' : 'recent'],
    [
      `(${words})${inRooms}`,
      words,
      wanted.keys.map((key) => searchKeyCodes[key]),
      wanted.spans.map(({ room }) => room),
      wanted.spans.map(({ first }) => first),
      wanted.spans.map(({ last }) => last),
      wanted.sender ?? null,
      wanted.after?.rank ?? null,
      wanted.after?.ts ?? null,
      wanted.after?.nid ?? null,
      wanted.limit,
    ],
  )
  return { total: rows[0]!.total, hits: rows.filter((row) => row.event_nid !== null) }
}

/** Begins where there was no index: everything up to now is to be looked at. */
export const beginIndexing = statement<never>(
  'begin indexing',
  `insert into search_progress (below) select coalesce(max(event_nid), 0) + 1 from events on conflict do nothing`,
)
export const indexedDownTo = statement<{ below: number }>('search progress', 'select below from search_progress')
export const noteIndexed = statement<never>('note search progress', 'update search_progress set below = $1')

/** Events that may be searchable, newest first. */
export const eventsToIndex = statement<{ event_nid: number; room: number; type: string; content: string | null }>(
  'events to index',
  `select e.event_nid, e.room, k.type, case when e.timeline is not null and e.redacted_by is null
       and k.type in ('m.room.message', 'm.room.name', 'm.room.topic') and not exists (
         select from room_state s join event_kinds x on x.kind = s.kind
         where s.room = e.room and s.to_position is null and s.event_nid is not null
           and x.type = 'm.room.encryption' and x.state_key = '') then e.content end as content
   from events e join event_kinds k using (kind) where e.event_nid < $1 order by e.event_nid desc limit $2`,
)

/** What the writer inserts, by itself; not what was redacted meanwhile. */
export const insertOldSearchable = statement<never>(
  'insert old searchable events',
  `insert into searchable_events (event_nid, room, key, sender, timeline, origin_server_ts, words)
   select e.event_nid, e.room, r.key, e.sender, e.timeline, e.origin_server_ts, r.words::tsvector
   from unnest($1::int8[], $2::int2[], $3::text[]) as r(event_nid, key, words)
   join events e on e.event_nid = r.event_nid and e.redacted_by is null and e.timeline is not null
   for share of e
   on conflict do nothing`,
)

/** Forgets the index. */
export async function dropSearchIndex(query: Query): Promise<void> {
  const [progress] = await query('delete from search_progress returning below', [])
  if (progress) await query('truncate searchable_events', [])
}

export async function limitTime(query: Query, milliseconds: number): Promise<void> {
  await query("select set_config('statement_timeout', $1, true)", [String(milliseconds)])
}
