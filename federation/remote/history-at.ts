import { type ServerName, serverNameOf } from '../../src/matrix/ids.ts'
import { MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { storeHistory } from '../../src/rooms/store-history.ts'
import { statement } from '../../src/storage/database.ts'
import { serversOfRoom } from '../../src/storage/destinations.ts'
import { eventIdText } from '../../src/storage/event-codec.ts'
import type { Federation } from '../federation.ts'
import { storeLackingAuth } from '../receive/lacking-auth.ts'
import { backfill, type EventAtTime, eventAtTime } from './history.ts'

/** Servers asked what they have at a time. */
const mostServers = 3
/** Answers to `GET /backfill` that one request of a client may take, and milliseconds after which it asks for no more. */
const mostRounds = 20
const longest = 20_000

/** Where history is missing, next to what came at or after a time. */
const gapsAfter = statement<{ event_id: Buffer }>(
  'gaps after a time',
  `select event_id from (
     select distinct on (m.event_id) m.event_id, e.origin_server_ts from missing_events m
     join events e on e.event_nid = m.referenced_by
     where m.room = $1 and e.timeline is not null order by m.event_id, e.origin_server_ts) gaps
   order by origin_server_ts < $2, abs(origin_server_ts - $2) limit ${MAX_MISSING_EVENTS}`,
)

/**
 * Asks the servers of a room for the event nearest to a time, and fills what is missing in the room's history until it is
 * here: its place is among what came before and after it, and only that it is there is believed.
 *
 * Spec: Server-Server API, `GET /timestamp_to_event/{roomId}` (v1.19).
 *
 * @param own The time of the nearest event that is here.
 * @returns whether any history came in.
 */
export async function fetchHistoryAt(
  federation: Federation,
  room: HotRoom,
  ts: number,
  direction: 'f' | 'b',
  own: number | undefined,
): Promise<boolean> {
  const isNearer = (told: EventAtTime): boolean =>
    direction === 'f' ? told.ts >= ts && told.ts < (own ?? Infinity) : told.ts <= ts && told.ts > (own ?? -Infinity)
  for (const server of await serversToAsk(federation, room)) {
    const told = await eventAtTime(federation, server, room, ts, direction)
    if (told && isNearer(told)) return fillUntil(federation, room, server, told)
  }
  return false
}

/** The creator's server first, which has been in the room for longest. */
async function serversToAsk({ ctx, allowList }: Federation, room: HotRoom): Promise<ServerName[]> {
  const rows = await ctx.database.read(serversOfRoom, [room.room])
  const servers = rows.map(({ server }) => server)
  const creator = room.get('m.room.create', '')?.pdu.sender
  const first = servers.filter((server) => creator !== undefined && server === serverNameOf(creator))
  return [...new Set([...first, ...servers])]
    .filter((server) => !ctx.domains.isLocal(server) && allowList.allows(server))
    .slice(0, mostServers)
}

async function fillUntil(
  federation: Federation,
  room: HotRoom,
  server: ServerName,
  told: EventAtTime,
): Promise<boolean> {
  const { ctx } = federation
  const until = ctx.clock.monotonic() + longest
  let hasMore = false
  for (let round = 0; round < mostRounds && ctx.clock.monotonic() < until; round++) {
    const [here] = await ctx.events.byIds([told.eventId])
    if (here && here.timeline !== null) break
    if (!(await fillOnce(federation, room, server, told.ts))) break
    hasMore = true
  }
  return hasMore
}

/** @returns whether anything new came. */
async function fillOnce(federation: Federation, room: HotRoom, server: ServerName, ts: number): Promise<boolean> {
  const { ctx } = federation
  const gaps = await ctx.database.read(gapsAfter, [room.room, ts])
  if (gaps.length === 0) return false
  const missing = gaps.map((row) => eventIdText(row.event_id, room.rules.eventFormat))
  const events = await backfill(federation, server, room, missing)
  if (events.length === 0) return false
  await storeLackingAuth(federation, server, room, events)
  const newestFirst = [...events].sort((one, other) => other.pdu.depth - one.pdu.depth)
  const outcomes = await storeHistory(ctx, room.roomId, newestFirst)
  return outcomes.some(({ outcome }) => outcome === 'accepted')
}
