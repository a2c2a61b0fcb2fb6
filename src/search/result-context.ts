import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { describeEvents, type Reader } from '../rooms/describe-events.ts'
import type { ViewerHistory } from '../rooms/history-visibility.ts'
import { visibleEvents } from '../rooms/visible-events.ts'
import { statement } from '../storage/database.ts'
import type { StoredEvent } from '../storage/events.ts'
import { formatTimelineToken } from '../sync/token.ts'
import type { SearchEngine } from './search-messages.ts'

export type WantedContext = {
  readonly before: number
  readonly after: number
  readonly profiles: boolean
}

/** Events around some events, by the number of each: `before` newest first, `after` oldest first. */
const selectAround = statement<{ of: number; event_nid: number; is_before: boolean }>(
  'events around search results',
  `select w.nid as of, b.event_nid, true as is_before
   from unnest($1::int8[], $2::int[], $3::int8[]) as w(nid, room, position) cross join lateral (
     select event_nid, timeline from events where room = w.room and timeline < w.position
     order by timeline desc limit $4) b
   union all
   select w.nid, a.event_nid, false
   from unnest($1::int8[], $2::int[], $3::int8[]) as w(nid, room, position) cross join lateral (
     select event_nid, timeline from events where room = w.room and timeline > w.position
     order by timeline limit $5) a`,
)

/**
 * What is around results, by the number of each. A fixed number of statements for any number of results.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/search`, `event_context`.
 */
export async function contextsOf(
  ctx: SearchEngine,
  reader: Reader,
  results: readonly StoredEvent[],
  views: ReadonlyMap<number, ViewerHistory>,
  wanted: WantedContext,
): Promise<ReadonlyMap<number, JsonObject>> {
  const rows = await ctx.database.read(selectAround, [
    results.map(({ nid }) => nid),
    results.map(({ room }) => room),
    results.map(({ timeline }) => timeline),
    wanted.before,
    wanted.after,
  ])
  const stored = await ctx.events.byNids([...new Set(rows.map((row) => row.event_nid))])
  const byRoom = Map.groupBy(stored, ({ room }) => room)
  const seen = (
    await Promise.all([...byRoom].map(([room, events]) => visibleEvents(ctx, views.get(room)!, reader.userId, events)))
  ).flat()
  const byNid = new Map(seen.map((event) => [event.nid, event]))
  const texts = await describeEvents(ctx, reader, seen, { views, roomIds: true })
  const described = new Map(seen.map((event, index) => [event.nid, JSON.parse(texts[index]!) as JsonObject]))
  const around = Map.groupBy(rows, (row) => row.of)
  const profiles = wanted.profiles ? await profilesAt(ctx, results, around, byNid) : undefined
  return new Map(
    results.map((result) => {
      const nids = around.get(result.nid) ?? []
      const [before, after] = [true, false].map((isBefore) => nids.filter((row) => row.is_before === isBefore))
      const positions = [...nids.flatMap(({ event_nid: nid }) => byNid.get(nid)?.timeline ?? []), result.timeline!]
      const shown = (list: typeof nids) => list.flatMap(({ event_nid: nid }) => described.get(nid) ?? [])
      return [
        result.nid,
        {
          start: formatTimelineToken(Math.min(...positions) - 1),
          end: formatTimelineToken(Math.max(...positions)),
          events_before: shown(before!),
          events_after: shown(after!),
          ...(profiles && { profile_info: profiles.get(result.nid)! }),
        },
      ]
    }),
  )
}

/** "The historic profile information of the users that sent the events returned": as of each result. */
async function profilesAt(
  ctx: SearchEngine,
  results: readonly StoredEvent[],
  around: ReadonlyMap<number, readonly { readonly event_nid: number }[]>,
  byNid: ReadonlyMap<number, StoredEvent>,
): Promise<ReadonlyMap<number, JsonObject>> {
  const sendersOf = (result: StoredEvent): Set<UserId> => {
    const others = (around.get(result.nid) ?? []).flatMap(({ event_nid: nid }) => byNid.get(nid) ?? [])
    return new Set([result, ...others].map(({ event }) => event.pdu.sender))
  }
  const senders = new Set(results.flatMap((result) => [...sendersOf(result)]))
  const kinds = await ctx.dictionaries.findKinds([...senders].map((stateKey) => ({ type: 'm.room.member', stateKey })))
  const rooms = new Set(results.map(({ room }) => room))
  const history = await ctx.events.history([...rooms], [...kinds.values()])
  return new Map(
    results.map((result) => {
      const wanted = sendersOf(result)
      const members = history.filter(({ stored, from, to }) => {
        const isInForce = from <= result.timeline! && (to === null || to > result.timeline!)
        return stored.room === result.room && isInForce && wanted.has(stored.event.pdu.state_key as UserId)
      })
      return [
        result.nid,
        Object.fromEntries(members.map(({ stored: { event } }) => [event.pdu.state_key, profileIn(event.pdu.content)])),
      ]
    }),
  )
}

function profileIn({ displayname, avatar_url: avatarUrl }: JsonObject): JsonObject {
  return {
    ...(typeof displayname === 'string' && { displayname }),
    ...(typeof avatarUrl === 'string' && { avatar_url: avatarUrl }),
  }
}
