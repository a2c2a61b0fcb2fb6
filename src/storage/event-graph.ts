import { statement } from './database.ts'
import { insertInto, operation } from './operation.ts'

/** What is stored of a room's graph of events beside the events. */

/** An event that was known by its id alone gets its place in the room. */
export const promoteEvents = operation<{
  event_nid: number
  timeline: number | null
  flags: number
  notify_index: number
  highlight_index: number
  state_delta: number | null
  edges: Buffer | null
  rest: string | null
}>(
  'promote events',
  {
    event_nid: 'int8',
    timeline: 'int8',
    flags: 'int2',
    notify_index: 'int4',
    highlight_index: 'int4',
    state_delta: 'int8',
    edges: 'bytea',
    rest: 'text',
  },
  `update events set timeline = r.timeline, flags = r.flags, notify_index = r.notify_index,
     highlight_index = r.highlight_index, state_delta = r.state_delta, edges = r.edges, rest = r.rest
   from $rows where events.event_nid = r.event_nid`,
)

export const deleteMissingEvents = operation<{ room: number; event_id: Buffer }>(
  'delete missing_events',
  { room: 'int4', event_id: 'bytea' },
  'delete from missing_events m using $rows where m.room = r.room and m.event_id = r.event_id',
)

/** Takes the mark of a gap from events whose predecessors are all there. */
export const closeGaps = operation<{ event_nid: number }>(
  'close gaps',
  { event_nid: 'int8' },
  `update events set flags = flags & ~32 from $rows where events.event_nid = r.event_nid
   and not exists (select from missing_events m where m.referenced_by = r.event_nid)`,
)

export const insertPendingRedactions = insertInto<{ room: number; event_id: Buffer; redaction: number }>(
  'pending_redactions',
  { room: 'int4', event_id: 'bytea', redaction: 'int8' },
  { tail: 'on conflict do nothing' },
)

export const deletePendingRedactions = operation<{ room: number; event_id: Buffer }>(
  'delete pending_redactions',
  { room: 'int4', event_id: 'bytea' },
  'delete from pending_redactions p using $rows where p.room = r.room and p.event_id = r.event_id',
)

/** What a room heard of events before it had them: redactions of them, and events that follow them. */
export const tracesOfEvents = statement<{
  event_id: Buffer
  redaction: number | null
  referenced_by: number | null
}>(
  'traces of events',
  `select event_id, redaction, null as referenced_by from pending_redactions
   where room = $1 and event_id = any($2::bytea[])
   union all
   select event_id, null, referenced_by from missing_events where room = $1 and event_id = any($2::bytea[])`,
)

/** What nobody has sent us before an event; as many as the second parameter says. */
export const missingBefore = statement<{ event_id: Buffer }>(
  'what is missing before an event',
  'select event_id from missing_events where referenced_by = $1 limit $2',
)

/** The state events of a room after a number, as the graph of their auth_events needs them. */
export const stateEventEdges = statement<{ event_nid: number; kind: number; edges: Buffer | null }>(
  'edges of state events',
  `select event_nid, kind, edges from events where room = $1 and event_nid > $2 and flags & 1 = 1 order by event_nid`,
)

/**
 * Events of a room from behind a place on, in the order in which they came: those of the timeline, and state events that are not in
 * it. Parameters: the room, the place, how many.
 */
export const roomEventsAfter = statement<{ event_nid: number; place: number }>(
  'events of a room after a place',
  `select event_nid, place from (
     (select event_nid, timeline as place from events where room = $1 and timeline > $2 order by timeline limit $3)
     union all
     (select event_nid, event_nid from events where room = $1 and event_nid > $2 and flags & 1 = 1 and flags & 24 = 0
        and timeline is null order by event_nid limit $3)) as found
   order by place limit $3`,
)

/** Events that were judged again are stored as what they are now. */
export const judgeEvents = operation<{
  event_nid: number
  timeline: number | null
  flags: number
  state_delta: number | null
}>(
  'judge events',
  { event_nid: 'int8', timeline: 'int8', flags: 'int2', state_delta: 'int8' },
  `update events set timeline = r.timeline, flags = r.flags, state_delta = r.state_delta
   from $rows where events.event_nid = r.event_nid`,
)

/** What was remembered beside events that are no part of the room any more. */
export const withdrawEvents = operation<{ event_nid: number }>(
  'withdraw events',
  { event_nid: 'int8' },
  `with gone as (select event_nid from $rows),
     unrelated as (delete from event_relations e using gone where e.event_nid = gone.event_nid),
     unsearched as (delete from searchable_events s using gone where s.event_nid = gone.event_nid)
   delete from sticky_events t using gone where t.event_nid = gone.event_nid`,
)

export type EventNumberRow = { event_id: Buffer; event_nid: number; room: number; kind: number; flags: number }

/** Numbers of events by their ids, without their contents. */
export const eventNumbers = statement<EventNumberRow>(
  'numbers of events',
  'select event_id, event_nid, room, kind, flags from events where event_id = any($1::bytea[])',
)

/** Ids of events by their numbers. */
export const eventIdsByNumber = statement<{ event_id: Buffer }>(
  'ids of events',
  'select event_id from events where event_nid = any($1::bigint[])',
)

/** The position of the next older event of a room; null without one. */
export const positionBelow = statement<{ timeline: number | null }>(
  'position below',
  'select max(timeline) as timeline from events where room = $1 and timeline < $2',
)

/** Where the timeline of a room begins; null when nothing is in it. */
export const oldestPosition = statement<{ timeline: number | null }>(
  'oldest position',
  'select min(timeline) as timeline from events where room = $1 and timeline is not null',
)
