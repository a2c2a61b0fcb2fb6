import { withoutIgnored } from '../account-data/ignored-users.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { describeEvents, Reader } from '../rooms/describe-events.ts'
import { loadViewerHistories, type ViewerHistory, visibleSpans } from '../rooms/history-visibility.ts'
import { visibleEvents } from '../rooms/visible-events.ts'
import type { StoredEvent } from '../storage/events.ts'
import {
  limitTime,
  type SearchHit,
  type SearchKey,
  type SearchQuery,
  searchableRooms,
  searchEvents,
} from '../storage/searchable-events.ts'
import type { EventFilter } from '../sync/filter.ts'
import { formatSearchToken, type SearchToken } from './search-token.ts'
import { wordsOf } from './searchable.ts'

export type SearchEngine = Parameters<typeof describeEvents>[0] & Pick<Context, 'database' | 'sessions' | 'events'>

export type MessageSearch = {
  readonly term: string
  readonly keys: readonly SearchKey[]
  readonly byRank: boolean
  readonly filter: EventFilter
  readonly from: SearchToken | undefined
}

export type FoundEvent = { readonly stored: StoredEvent; readonly hit: SearchHit }

export type FoundEvents = {
  readonly words: readonly string[]
  /** How many there are in all, roughly. */
  readonly total: number
  readonly events: readonly FoundEvent[]
  readonly views: ReadonlyMap<number, ViewerHistory>
  /** Absent when there is nothing more. */
  readonly next: string | undefined
}

/** Words of a term that are looked for; the others are passed over. */
const maxWords = 20
/** Milliseconds that the database may look for them. */
const maxTime = 10_000
/** How often, and how many hits at once, are looked at for one page whose filter lets few through. */
const maxRounds = 5
const filteredAtOnce = 500
const queryCanceled = '57014'

/**
 * Events with all the words of a term, as far as the user may see them, in rooms that are not encrypted.
 *
 * Spec: Client-Server API, "Server Side Search".
 *
 * @throws MatrixError M_LIMIT_EXCEEDED when it takes too long.
 */
export async function searchMessages(ctx: SearchEngine, reader: Reader, search: MessageSearch): Promise<FoundEvents> {
  const words = [...new Set(wordsOf(search.term))].slice(0, maxWords)
  const views = words.length === 0 ? new Map() : await viewsOfRooms(ctx, reader, search)
  const spans = [...views].flatMap(([room, view]) => visibleSpans(view).map((span) => ({ room, ...span })))
  if (spans.length === 0) return { words, total: 0, events: [], views, next: undefined }

  const limit = Math.max(search.filter.limit, 1)
  const group = search.from?.group
  const query = {
    words,
    keys: search.keys,
    spans,
    byRank: search.byRank,
    sender: group?.key === 'sender' ? group.number : undefined,
    limit: search.filter.allows ? filteredAtOnce : limit + 1,
  }
  const events: FoundEvent[] = []
  let after: SearchQuery['after'] = search.from
  let total = 0
  let isEnd = false
  for (let round = 0; round < maxRounds && events.length < limit && !isEnd; round++) {
    const found = await look(ctx, { ...query, after })
    const page = await shown(ctx, reader, search, views, found.hits)
    events.push(...page.slice(0, limit - events.length))
    const last = events.length === limit ? events.at(-1)!.hit : found.hits.at(-1)
    after = last ? placeOf(last) : after
    isEnd = found.hits.length < query.limit
    total = found.total
  }
  const hasMore = after !== undefined && (events.length === limit || !isEnd)
  const next = hasMore ? formatSearchToken({ ...after!, ...(group && { group }) }) : undefined
  return { words, total, events, views, next }
}

export function placeOf(hit: SearchHit) {
  return { rank: hit.rank, ts: hit.origin_server_ts, nid: hit.event_nid }
}

/** What the user may see of each of the rooms that are to be searched. */
async function viewsOfRooms(
  ctx: SearchEngine,
  reader: Reader,
  { filter, from }: MessageSearch,
): Promise<Map<number, ViewerHistory>> {
  const rooms = await ctx.database.read(searchableRooms, [reader.userNid])
  const wanted = rooms.filter(({ room, room_id: roomId }) => {
    if (from?.group?.key === 'room_id' && room !== from.group.number) return false
    return filter.allowsRoom(roomId satisfies RoomId)
  })
  if (wanted.length === 0) return new Map()
  return loadViewerHistories(
    ctx,
    wanted.map(({ room }) => room),
    reader.userId,
  )
}

async function look(ctx: SearchEngine, query: SearchQuery): Promise<{ total: number; hits: SearchHit[] }> {
  try {
    // Not on the connections of short reads, which would wait behind it.
    return await ctx.database.transaction(async (run) => {
      await limitTime(run, maxTime)
      return searchEvents(run, query)
    })
  } catch (error) {
    if ((error as { code?: unknown }).code !== queryCanceled) throw error
    throw new MatrixError('M_LIMIT_EXCEEDED', 'Too much is found: search for more words or in fewer rooms', {
      status: 503,
    })
  }
}

/** Of hits those that pass the filter and that the user may see by the state at each. */
async function shown(
  ctx: SearchEngine,
  reader: Reader,
  { filter }: MessageSearch,
  views: ReadonlyMap<number, ViewerHistory>,
  hits: readonly SearchHit[],
): Promise<FoundEvent[]> {
  const stored = await ctx.events.byNids(hits.map((hit) => hit.event_nid))
  const wanted = stored.filter(({ event }) => filter.allows?.(event.pdu) ?? true)
  const byRoom = Map.groupBy(await withoutIgnored(ctx, reader, wanted), ({ room }) => room)
  const seen = await Promise.all(
    [...byRoom].map(([room, events]) => visibleEvents(ctx, views.get(room)!, reader.userId, events)),
  )
  const byNid = new Map(seen.flat().map((event) => [event.nid, event]))
  return hits.flatMap((hit) => {
    const event = byNid.get(hit.event_nid)
    return event ? { stored: event, hit } : []
  })
}
