import type { Context } from '../context.ts'
import type { EventId, UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { statement } from '../storage/database.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import { clientEvent } from './client-event.ts'
import { type ViewerHistory, visibleSpans } from './history-visibility.ts'
import { visibleEvents } from './visible-events.ts'

/** What `m.relates_to` says. Spec: Client-Server API, "Forming relationships between events". */
export type Relation = { readonly relType: string; readonly eventId: EventId; readonly key: string | undefined }

const longestKey = 500

/** The relation of an event's content, or undefined when there is none that can be followed. */
export function relationOf(content: JsonObject): Relation | undefined {
  const relatesTo = content['m.relates_to']
  if (typeof relatesTo !== 'object' || relatesTo === null || Array.isArray(relatesTo)) return undefined
  const { rel_type: relType, event_id: eventId, key } = relatesTo as JsonObject
  if (typeof relType !== 'string' || typeof eventId !== 'string' || !eventId.startsWith('$')) return undefined
  if (relType.includes('\0') || relType.length > 255 || eventId.length > 255) return undefined
  const usable = typeof key === 'string' && key.length <= longestKey && !key.includes('\0')
  return { relType, eventId: eventId as EventId, key: usable ? key : undefined }
}

/** Who is told, and what they may see. */
export type RelationsReader = {
  readonly userId: UserId
  readonly userNid: number
  readonly deviceId: string | undefined
  /** Users whose messages count for nothing. */
  readonly ignored: ReadonlySet<string>
  /** The views of rooms in which not everything may be seen. */
  readonly views: ReadonlyMap<number, ViewerHistory>
}

export type Bundles = {
  /** The `m.relations` of events, by event number, for those that have any. */
  readonly relations: ReadonlyMap<number, JsonObject>
  /** With which transaction ids the reader's device sent events, for those that were asked about. */
  readonly transactions: ReadonlyMap<number, string>
}

/** What readers are told about the events that relate to an event. */
export type Relations = {
  /**
   * Two statements where anything relates to the events, and two more where there are threads; one otherwise. Where any of
   * it lies on a fork or in back-filled history of a room with a view, five more each time.
   *
   * Spec: Client-Server API, "Aggregations of child events".
   *
   * @param sent Numbers of events of which the transaction ids are wanted.
   */
  bundle(reader: RelationsReader, events: readonly StoredEvent[], sent: readonly number[]): Promise<Bundles>
}

type Aggregate = {
  parent: Buffer | null
  relation: string
  total: number
  /** The newest of them; of a transaction, the event that was sent with it. */
  latest: number
  participated: boolean
  references: Buffer[] | null
  txn_id: string | null
  /** The newest of those of which the position does not tell who may see them. */
  apart: number[] | null
}

const mostReferences = 50
/** Of one relation to one event; older ones count for nobody who is restricted. */
const mostApart = 100

// An edit counts when its sender is the one of the event, it is no state event and of the same type; redacted ones count
// nowhere, nor does what the reader may not see. In restricted rooms those on forks and in back-filled history count as far
// as the reader is known to see them, which is asked for once there are any.
const aggregates = statement<Aggregate>(
  'aggregated relations',
  `select r.parent, r.relation, count(*)::int as total, max(r.event_nid) as latest, bool_or(r.sender = $4 or w.sender = $4) as participated,
     case when r.relation = 'm.reference' then (array_agg(e.event_id order by r.event_nid))[1:${mostReferences}] end as references,
     null as txn_id,
     (array_agg(r.event_nid order by r.event_nid desc)
       filter (where r.room = any($6::int[]) and (e.state_delta is not null or e.flags & 16 <> 0)))[1:${mostApart}] as apart
   from unnest($1::int[], $2::bytea[], $3::int[], $12::int[]) as w(room, parent, sender, kind)
   join event_relations r on r.room = w.room and r.parent = w.parent
   join events e on e.event_nid = r.event_nid and e.redacted_by is null and e.timeline is not null
   where (r.relation in ('m.thread', 'm.reference')
       or (r.relation = 'm.replace' and r.sender = w.sender and r.kind = w.kind))
     and r.sender <> all(array(select user_nid from users where user_id = any($5::text[])))
     and case when r.room <> all($6::int[]) then true
       when e.state_delta is not null or e.flags & 16 <> 0 then $13::int8[] is null or r.event_nid = any($13)
       else exists (
         select from unnest($7::int[], $8::int8[], $9::int8[]) as v(room, first, last)
         where v.room = r.room and e.timeline between v.first and v.last) end
   group by r.parent, r.relation
   union all
   select null, 'transaction', 0, event_nid, false, null, txn_id, null from transactions
   where user_nid = $4 and device_id = $10 and event_nid = any($11::int8[]) and event_nid > 0`,
)

export function createRelations(ctx: Pick<Context, 'database' | 'dictionaries' | 'events' | 'clock'>): Relations {
  const aggregatesOf = async (
    reader: RelationsReader,
    events: readonly StoredEvent[],
    sent: readonly number[],
  ): Promise<Aggregate[]> => {
    const parents = events.filter((event) => event.redactedBy === null && event.event.pdu.state_key === undefined)
    if (parents.length + sent.length === 0) return []
    const rooms = new Set(parents.map((event) => event.room))
    const restricted = [...reader.views].filter(([room]) => rooms.has(room))
    const spans = restricted.flatMap(([room, view]) => visibleSpans(view).map((span) => ({ room, ...span })))
    const values = [
      parents.map((event) => event.room),
      parents.map((event) => eventIdBytes(event.event.eventId)),
      parents.map((event) => event.senderNid),
      reader.userNid,
      [...reader.ignored],
      restricted.map(([room]) => room),
      spans.map(({ room }) => room),
      spans.map(({ first }) => first),
      spans.map(({ last }) => last),
      reader.deviceId ?? '',
      sent,
      parents.map((event) => event.kind),
    ]
    const rows = await ctx.database.read(aggregates, [...values, null])
    const apart = rows.flatMap((row) => row.apart ?? [])
    return apart.length === 0 ? rows : ctx.database.read(aggregates, [...values, await seenAmong(ctx, reader, apart)])
  }

  /** @param nested Whether these are the newest messages of threads, of which the edits alone are told. */
  const bundle = async (
    reader: RelationsReader,
    events: readonly StoredEvent[],
    sent: readonly number[],
    nested: boolean,
  ): Promise<Bundles> => {
    const relations = new Map<number, JsonObject>()
    const transactions = new Map<number, string>()
    const rows = await aggregatesOf(reader, events, sent)
    for (const row of rows) if (row.txn_id !== null) transactions.set(row.latest, row.txn_id)
    const related = rows.filter(({ parent, relation }) => parent !== null && (!nested || relation === 'm.replace'))
    if (related.length === 0) return { relations, transactions }
    const shown = related.filter(({ relation }) => relation !== 'm.reference')
    const latest = new Map((await ctx.events.byNids(shown.map((row) => row.latest))).map((one) => [one.nid, one]))
    const inThreads = related.flatMap(({ relation, latest: nid }) =>
      relation === 'm.thread' ? [latest.get(nid)!] : [],
    )
    const edits = inThreads.length === 0 ? undefined : await bundle(reader, inThreads, [], true)
    const byId = new Map(events.map((event) => [eventIdBytes(event.event.eventId).toString('hex'), event]))
    for (const row of related) {
      const parent = byId.get(row.parent!.toString('hex'))!
      const newest = latest.get(row.latest)
      const view = { now: ctx.clock.now(), roomId: parent.event.roomId, relations: edits?.relations.get(row.latest) }
      const value = bundleOf(row, parent, newest && clientEvent(newest, view))
      if (value) relations.set(parent.nid, { ...relations.get(parent.nid), [row.relation]: value })
    }
    return { relations, transactions }
  }

  return { bundle: (reader, events, sent) => bundle(reader, events, sent, false) }
}

/** Those events, by number, that a reader may see in rooms where not everything may be seen. */
async function seenAmong(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'events'>,
  reader: RelationsReader,
  nids: readonly number[],
): Promise<number[]> {
  const inRooms = Map.groupBy(await ctx.events.byNids(nids), (event) => event.room)
  const seen = [...inRooms].map(([room, events]) => visibleEvents(ctx, reader.views.get(room)!, reader.userId, events))
  return (await Promise.all(seen)).flat().map((event) => event.nid)
}

function bundleOf(row: Aggregate, parent: StoredEvent, newest: JsonObject | undefined): Json | undefined {
  if (row.relation === 'm.reference') {
    const format = parent.event.eventId
    const ids = (row.references ?? []).map((id) => `$${textLike(id, format)}`)
    return { chunk: ids.map((eventId) => ({ event_id: eventId })) }
  }
  if (!newest) return undefined
  if (row.relation === 'm.replace') return newest
  return { latest_event: newest, count: row.total, current_user_participated: row.participated }
}

/** Event ids of one room are all written alike. */
function textLike(id: Buffer, other: EventId): string {
  if (other.includes(':')) return id.toString('utf8')
  return other.includes('+') || other.includes('/') ? id.toString('base64').replace('=', '') : id.toString('base64url')
}
