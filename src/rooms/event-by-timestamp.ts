import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { Reader } from './describe-events.ts'
import { maySee } from './history-visibility.ts'
import type { HotRoom } from './hot-room.ts'
import { loadSeen } from './relating-events.ts'
import { type RoomView, viewRoom } from './room-access.ts'

type Engine = Parameters<typeof loadSeen>[0] & Pick<Context, 'remoteServers'>

type Candidate = { event_nid: number; timeline: number; flags: number; state_delta: number | null }

const selectByTime = {
  f: statement<Candidate>(
    'first event after a time',
    `select event_nid, timeline, flags, state_delta from events where room = $1 and timeline is not null and origin_server_ts >= $2
     order by origin_server_ts, timeline limit $3`,
  ),
  b: statement<Candidate>(
    'last event before a time',
    `select event_nid, timeline, flags, state_delta from events where room = $1 and timeline is not null and origin_server_ts <= $2
     order by origin_server_ts desc, timeline desc limit $3`,
  ),
}
const candidates = 100

/** Whether a predecessor is missing of an event, of the one that follows a position, or of any event of a room. */
const besideGap = {
  f: statement<{ one: number }>(
    'a gap before an event',
    'select 1 as one from missing_events where room = $1 and referenced_by = $2 limit 1',
  ),
  b: statement<{ one: number }>(
    'a gap after a position',
    `select 1 as one from missing_events where room = $1 and referenced_by = (
       select event_nid from events where room = $1 and timeline > $2 order by timeline limit 1) limit 1`,
  ),
  none: statement<{ one: number }>('a gap in a room', 'select 1 as one from missing_events where room = $1 limit 1'),
}

/**
 * The visible event nearest to a time. Where history is missing that may have a nearer one, other servers are asked.
 *
 * Spec: Client-Server API, `GET …/timestamp_to_event`.
 *
 * @param ts Milliseconds since the epoch.
 * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
 */
export async function eventByTimestamp(
  ctx: Engine,
  roomId: RoomId,
  reader: Reader,
  ts: number,
  direction: 'f' | 'b',
): Promise<{ event_id: EventId; origin_server_ts: number }> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  let found = await nearest(ctx, view, reader, ts, direction)
  if (await mayBeMissing(ctx, view.room, found, direction)) {
    const own = found?.event.pdu.origin_server_ts
    const hasMore = await ctx.remoteServers.current.fetchHistoryAt(view.room, ts, direction, own)
    if (hasMore) found = await nearest(ctx, view, reader, ts, direction)
  }
  if (!found) throw new MatrixError('M_NOT_FOUND', 'No event at that time')
  return { event_id: found.event.eventId, origin_server_ts: found.event.pdu.origin_server_ts }
}

/** Events from a time on, the nearest first, whoever may see them. */
export async function eventsByTime(
  ctx: Pick<Context, 'database' | 'events'>,
  room: HotRoom,
  ts: number,
  direction: 'f' | 'b',
): Promise<StoredEvent[]> {
  const rows = await ctx.database.read(selectByTime[direction], [room.room, ts, candidates])
  const stored = await ctx.events.byNids(rows.map((row) => row.event_nid))
  const byNid = new Map(stored.map((one) => [one.nid, one]))
  return rows.map((row) => byNid.get(row.event_nid)!)
}

async function nearest(
  ctx: Engine,
  view: RoomView,
  reader: Reader,
  ts: number,
  direction: 'f' | 'b',
): Promise<StoredEvent | undefined> {
  const rows = await ctx.database.read(selectByTime[direction], [view.room.room, ts, candidates])
  // Of most events the position alone decides; only those before the first of them have to be looked at.
  const isApart = (row: Candidate): boolean => row.state_delta !== null || (row.flags & EventFlags.backfilled) !== 0
  const sure = rows.findIndex((row) => !isApart(row) && maySee(view.history, row.timeline))
  const asked = rows.filter((row, index) => index === sure || (isApart(row) && (sure === -1 || index < sure)))
  const [stored] = await loadSeen(ctx, view, reader, asked)
  return stored
}

async function mayBeMissing(
  ctx: Engine,
  { room }: HotRoom,
  found: StoredEvent | undefined,
  direction: 'f' | 'b',
): Promise<boolean> {
  if (!ctx.remoteServers.current.isOn) return false
  const isForwards = direction === 'f'
  const rows = found
    ? await ctx.database.read(besideGap[direction], [room, isForwards ? found.nid : found.timeline!])
    : await ctx.database.read(besideGap.none, [room])
  return rows.length > 0
}
