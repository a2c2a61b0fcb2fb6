import { type Static, Type } from '@sinclair/typebox'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { foldText } from '../matrix/fold-text.ts'
import type { RoomId, ServerName } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { statement } from '../storage/database.ts'
import { publishedRoom, type SummarySource, type SummaryType, summaryTypes } from './room-summary.ts'

/** Rooms in one answer. */
const maxLimit = 500
const defaultLimit = 100
/** Rooms read at once while searching, and how many are looked at for one answer: the rest comes with the next page. */
const searchBatch = 500
const maxSearched = 5000

type Row = {
  room: number
  room_id: RoomId
  joined_members: number
  kinds: number[] | null
  contents: string[] | null
}

/** Whose rooms: those that the domain publishes, those that application services list in a network, or all of them. */
const directories = {
  own: '(select room from published_rooms where server_name = $1)',
  network: "(select room from network_rooms where service_id || '|' || network_id = $1)",
  all: '(select room from published_rooms where server_name = $1 union select room from network_rooms)',
}
type Directory = keyof typeof directories

/** The largest first. A room's place is its number of members, and its own number among equals. */
const pageOf = (directory: Directory, direction: 'after' | 'before'): string => {
  const [compared, order] = direction === 'after' ? ['<', 'desc'] : ['>', 'asc']
  return `select r.room, r.room_id, r.joined_members, s.kinds, s.contents from (
      select r.room, r.room_id, r.joined_members from ${directories[directory]} p join rooms r using (room)
      where r.joined_members > 0
        and ($2::int is null or (r.joined_members, r.room) ${compared} ($2, $3))
      order by r.joined_members ${order}, r.room ${order} limit $4) r
    left join lateral (
      select array_agg(s.kind) as kinds, array_agg(e.content) as contents
      from room_state s join events e using (event_nid)
      where s.room = r.room and s.kind = any($5::int[]) and s.to_position is null) s on true
    order by r.joined_members ${order}, r.room ${order}`
}
const pagesOf = (directory: Directory) => ({ after: pageOf(directory, 'after'), before: pageOf(directory, 'before') })
const pages = { own: pagesOf('own'), network: pagesOf('network'), all: pagesOf('all') }
const countPublished = statement<{ count: number }>(
  'number of published rooms',
  `select count(*) as count from published_rooms join rooms using (room)
   where server_name = $1 and joined_members > 0`,
)

type Place = { readonly members: number; readonly room: number }
type Page = { readonly direction: 'after' | 'before'; readonly place: Place | undefined }

export type PublicRoomsQuery = {
  readonly limit?: number | undefined
  readonly since?: string | undefined
  /** Words that the name, the topic or the alias must contain, whatever their case and accents. */
  readonly searchTerm?: string | undefined
  /** `null` for rooms without a type. */
  readonly roomTypes?: readonly (string | null)[] | undefined
  /** With the rooms of all networks; or those of one alone, by its `instance_id`. */
  readonly networks?: 'all' | { readonly instanceId: string } | undefined
}

/** What clients and servers ask with alike. Spec: Client-Server API and Server-Server API, `POST …/publicRooms`. */
export const publicRoomsBody = Type.Object({
  limit: Type.Optional(Type.Integer()),
  since: Type.Optional(Type.String()),
  filter: Type.Optional(
    Type.Object({
      generic_search_term: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      room_types: Type.Optional(Type.Union([Type.Array(Type.Union([Type.String(), Type.Null()])), Type.Null()])),
    }),
  ),
  include_all_networks: Type.Optional(Type.Boolean()),
  third_party_instance_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})

export function queryIn(body: Static<typeof publicRoomsBody>): PublicRoomsQuery {
  const { third_party_instance_id: instanceId, include_all_networks: all } = body
  const isOne = typeof instanceId === 'string' && instanceId !== ''
  return {
    limit: body.limit,
    since: body.since,
    searchTerm: body.filter?.generic_search_term ?? undefined,
    roomTypes: body.filter?.room_types ?? undefined,
    // Rooms of a bridged network are those that its application service lists.
    networks: all === true ? 'all' : isOne ? { instanceId } : undefined,
  }
}

/**
 * A page of the rooms that a domain publishes, those with most members first.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/publicRooms` (v1.19); Server-Server API, likewise.
 *
 * @throws MatrixError M_INVALID_PARAM for a token that is not ours.
 */
export async function publicRooms(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  domain: ServerName,
  query: PublicRoomsQuery,
): Promise<JsonObject> {
  const limit = Math.min(Math.max(query.limit ?? defaultLimit, 1), maxLimit)
  const page = parseToken(query.since)
  const { found, next, isFiltered } = await findRooms(ctx, domain, page, query, limit)
  const ordered = page.direction === 'after' ? found : found.toReversed()
  const [first, last] = [ordered[0], ordered.at(-1)]
  const hasAfter = page.direction === 'after' ? next !== undefined : page.place !== undefined
  const hasBefore = page.direction === 'after' ? page.place !== undefined : next !== undefined
  const after = page.direction === 'after' ? next : last?.place
  const before = page.direction === 'after' ? first?.place : next
  const [count] = isFiltered || query.networks !== undefined ? [] : await ctx.database.read(countPublished, [domain])
  return {
    chunk: ordered.map(({ entry }) => entry),
    ...(hasAfter && after && { next_batch: tokenOf('after', after) }),
    ...(hasBefore && before && { prev_batch: tokenOf('before', before) }),
    ...(count && { total_room_count_estimate: count.count }),
  }
}

type Found = { readonly place: Place; readonly entry: JsonObject }

/** Up to `limit` rooms from a place on; `next` is the last room looked at, if there are more. */
async function findRooms(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  domain: ServerName,
  { direction, place }: Page,
  query: PublicRoomsQuery,
  limit: number,
): Promise<{ found: Found[]; next: Place | undefined; isFiltered: boolean }> {
  const matches = matcherOf(query)
  const directory = query.networks === undefined ? 'own' : query.networks === 'all' ? 'all' : 'network'
  const kinds = await summaryKinds(ctx)
  const batch = matches ? searchBatch : limit + 1
  const found: Found[] = []
  let from = place
  for (let searched = 0; searched < maxSearched; searched += batch) {
    const values = [
      typeof query.networks === 'object' ? query.networks.instanceId : domain,
      from?.members ?? null,
      from?.room ?? null,
      batch,
      [...kinds.keys()],
    ]
    // Not on the connections of short reads, which would wait behind it.
    const rows = await ctx.database.transaction((run) => run<Row>(pages[directory][direction], values))
    for (const [index, row] of rows.entries()) {
      const here = { members: row.joined_members, room: row.room }
      const entry = publishedRoom(sourceOfRow(row, kinds))
      if (!matches || matches(entry)) found.push({ place: here, entry })
      from = here
      const isLast = index === rows.length - 1 && rows.length < batch
      if (found.length === limit) return { found, next: isLast ? undefined : here, isFiltered: matches !== undefined }
    }
    if (rows.length < batch) return { found, next: undefined, isFiltered: matches !== undefined }
  }
  return { found, next: from, isFiltered: true }
}

async function summaryKinds(ctx: Pick<Context, 'dictionaries'>): Promise<Map<number, SummaryType>> {
  const known = await ctx.dictionaries.findKinds(summaryTypes.map((type) => ({ type, stateKey: '' })))
  return new Map([...known].map(([key, kind]) => [kind, key.split('\0')[0] as SummaryType]))
}

function sourceOfRow(row: Row, kinds: ReadonlyMap<number, SummaryType>): SummarySource {
  const contents = new Map(row.kinds?.map((kind, index) => [kinds.get(kind), row.contents![index]!]))
  return {
    roomId: row.room_id,
    joinedMembers: row.joined_members,
    content(type) {
      const text = contents.get(type)
      return text === undefined ? undefined : (JSON.parse(text) as JsonObject)
    },
  }
}

function matcherOf(query: PublicRoomsQuery): ((entry: JsonObject) => boolean) | undefined {
  const words = foldText(query.searchTerm ?? '')
    .split(/\s+/)
    .filter((word) => word !== '')
  const types = query.roomTypes && new Set<Json>(query.roomTypes)
  if (words.length === 0 && types === undefined) return undefined
  return (entry) => {
    if (types && !types.has(entry.room_type ?? null)) return false
    if (words.length === 0) return true
    const text = foldText(`${entry.name ?? ''}\n${entry.topic ?? ''}\n${entry.canonical_alias ?? ''}`)
    return words.every((word) => text.includes(word))
  }
}

function tokenOf(direction: 'after' | 'before', place: Place): string {
  return `${direction === 'after' ? 'n' : 'p'}${place.members}_${place.room}`
}

function parseToken(since: string | undefined): Page {
  if (since === undefined || since === '') return { direction: 'after', place: undefined }
  const match = /^([np])(\d{1,9})_(\d{1,9})$/.exec(since)
  if (match === null) throw new MatrixError('M_INVALID_PARAM', 'since: not a token of this server')
  const place = { members: Number(match[2]), room: Number(match[3]) }
  return { direction: match[1] === 'n' ? 'after' : 'before', place }
}
