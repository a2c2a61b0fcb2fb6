import { MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { statement } from '../../src/storage/database.ts'
import type { Federation } from '../federation.ts'
import type { FillGap } from './fill-gap.ts'
import { type EventAtTime, eventAtTime } from './history.ts'
import { serversToAsk } from './servers-to-ask.ts'

/** Servers asked what they have at a time. */
const mostServers = 3
/** Answers to `GET /backfill` that one request of a client may take, and milliseconds after which it asks for no more. */
const mostRounds = 20
const longest = 20_000

/** The events with a gap before them, those next to what came at or after a time first. */
const gapsAfter = statement<{ event_nid: number }>(
  'gaps after a time',
  `select event_nid from (
     select distinct e.event_nid, e.origin_server_ts from missing_events m join events e on e.event_nid = m.referenced_by
     where m.room = $1 and e.timeline is not null) gaps
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
  fillGap: FillGap,
  room: HotRoom,
  ts: number,
  direction: 'f' | 'b',
  own: number | undefined,
): Promise<boolean> {
  const isNearer = (told: EventAtTime): boolean =>
    direction === 'f' ? told.ts >= ts && told.ts < (own ?? Infinity) : told.ts <= ts && told.ts > (own ?? -Infinity)
  for (const server of (await serversToAsk(federation, room)).slice(0, mostServers)) {
    const told = await eventAtTime(federation, server, room, ts, direction)
    if (told && isNearer(told)) return fillUntil(federation, fillGap, room, told)
  }
  return false
}

async function fillUntil({ ctx }: Federation, fillGap: FillGap, room: HotRoom, told: EventAtTime): Promise<boolean> {
  const until = ctx.clock.monotonic() + longest
  let hasMore = false
  for (let round = 0; round < mostRounds && ctx.clock.monotonic() < until; round++) {
    const [here] = await ctx.events.byIds([told.eventId])
    if (here && here.timeline !== null) break
    if (!(await fillNearest(ctx, fillGap, room, told.ts))) break
    hasMore = true
  }
  return hasMore
}

/** @returns whether anything new came. */
async function fillNearest(ctx: Federation['ctx'], fillGap: FillGap, room: HotRoom, ts: number): Promise<boolean> {
  const rows = await ctx.database.read(gapsAfter, [room.room, ts])
  const gaps = new Map((await ctx.events.byNids(rows.map((row) => row.event_nid))).map((event) => [event.nid, event]))
  for (const { event_nid: nid } of rows) {
    const after = gaps.get(nid)
    if (after && (await fillGap(room, after))) return true
  }
  return false
}
