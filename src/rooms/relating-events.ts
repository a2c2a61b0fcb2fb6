import { withoutIgnored } from '../account-data/ignored-users.ts'
import type { Context } from '../context.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import { describeEvents, type Reader } from './describe-events.ts'
import { eventsSeen, type RoomView, viewRoom, visibleEvent } from './room-access.ts'

type Engine = Parameters<typeof describeEvents>[0] & Pick<Context, 'hotRooms' | 'database'>

export type RelationsRequest = {
  readonly relType: string | undefined
  readonly eventType: string | undefined
  readonly backwards: boolean
  readonly recurse: boolean
  readonly limit: number
  /** Positions of the timeline. */
  readonly from: number | undefined
  readonly to: number | undefined
}

/** How deep relations of relations are followed: the specification asks for three at the least. */
export const recursionDepth = 3
const mostEvents = 100

// Relations of relations only where asked; the depth is what ends the recursion, whatever the graph.
const selectRelating = statement<{ event_nid: number; timeline: number }>(
  'relating events',
  `with recursive related(event_nid, event_id, depth) as (
     select x.event_nid, e.event_id, 1 from event_relations x join events e using (event_nid)
     where x.room = $1 and x.parent = $2 and ($3::text is null or x.relation = $3)
     union
     select x.event_nid, e.event_id, p.depth + 1 from related p
     join event_relations x on x.room = $1 and x.parent = p.event_id join events e on e.event_nid = x.event_nid
     where p.depth < $9 and ($3::text is null or x.relation = $3))
   select e.event_nid, e.timeline from (select distinct event_nid from related) d join events e using (event_nid)
   join event_kinds k using (kind)
   where e.redacted_by is null and e.timeline is not null and ($4::text is null or k.type = $4)
     and e.timeline > $5 and e.timeline <= $6
   order by case when $7 then -e.timeline else e.timeline end limit $8`,
)

/** Events that relate to an event, as JSON texts, and where the next page begins. */
export type RelatingEvents = {
  readonly events: readonly string[]
  readonly next: number | undefined
}

/**
 * Spec: Client-Server API, "Relationships API".
 *
 * @throws MatrixError M_NOT_FOUND for an event that the reader may not see.
 */
export async function relatingEvents(
  ctx: Engine,
  roomId: RoomId,
  eventId: EventId,
  reader: Reader,
  request: RelationsRequest,
): Promise<RelatingEvents> {
  const { view } = await visibleEvent(ctx, roomId, eventId, reader.userId)
  const limit = Math.min(Math.max(request.limit, 1), mostEvents)
  const bounds = request.backwards
    ? { after: request.to ?? -Number.MAX_SAFE_INTEGER, upTo: request.from ?? Number.MAX_SAFE_INTEGER }
    : { after: request.from ?? -Number.MAX_SAFE_INTEGER, upTo: request.to ?? Number.MAX_SAFE_INTEGER }
  const rows = await ctx.database.read(selectRelating, [
    view.room.room,
    eventIdBytes(eventId),
    request.relType ?? null,
    request.eventType ?? null,
    bounds.after,
    bounds.upTo,
    request.backwards,
    limit + 1,
    request.recurse ? recursionDepth : 1,
  ])
  const stored = await withoutIgnored(ctx, reader, await loadSeen(ctx, view, reader, rows.slice(0, limit)))
  const last = rows[limit - 1]?.timeline
  return {
    events: await describeEvents(ctx, reader, stored, {
      views: new Map([[view.room.room, view.history]]),
      roomIds: true,
    }),
    next: rows.length > limit && last !== undefined ? (request.backwards ? last - 1 : last) : undefined,
  }
}

/** The events of rows that the reader may see, in the order of the rows. */
export async function loadSeen(
  ctx: Engine,
  view: RoomView,
  reader: Reader,
  rows: readonly { readonly event_nid: number }[],
): Promise<StoredEvent[]> {
  const byNid = new Map((await ctx.events.byNids(rows.map((row) => row.event_nid))).map((one) => [one.nid, one]))
  const stored = rows.map((row) => byNid.get(row.event_nid)!)
  return eventsSeen(ctx, view, reader.userId, stored)
}

const selectThreads = statement<{ event_nid: number; timeline: number; latest: number }>(
  'threads of a room',
  `select root.event_nid, root.timeline, t.latest from (
     select x.parent, max(x.event_nid) as latest, bool_or(x.sender = $2) as participated
     from event_relations x join events e using (event_nid)
     where x.room = $1 and x.relation = 'm.thread' and e.redacted_by is null and e.timeline is not null
     group by x.parent) t
   join events root on root.event_id = t.parent and root.room = $1 and root.timeline is not null
   where t.latest < $3 and (not $4 or t.participated or root.sender = $2)
   order by t.latest desc limit $5`,
)

/**
 * The roots of a room's threads, those with the newest answers first.
 *
 * Spec: Client-Server API, "Threading", "Querying threads in a room".
 *
 * @throws MatrixError M_FORBIDDEN
 */
export async function threadRoots(
  ctx: Engine,
  roomId: RoomId,
  reader: Reader,
  request: { readonly participated: boolean; readonly limit: number; readonly from: number | undefined },
): Promise<RelatingEvents> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  const limit = Math.min(Math.max(request.limit, 1), mostEvents)
  const rows = await ctx.database.read(selectThreads, [
    view.room.room,
    reader.userNid,
    request.from ?? Number.MAX_SAFE_INTEGER,
    request.participated,
    limit + 1,
  ])
  const stored = await withoutIgnored(ctx, reader, await loadSeen(ctx, view, reader, rows.slice(0, limit)))
  return {
    events: await describeEvents(ctx, reader, stored, {
      views: new Map([[view.room.room, view.history]]),
      roomIds: true,
    }),
    next: rows.length > limit ? rows[limit - 1]!.latest : undefined,
  }
}
