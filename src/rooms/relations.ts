import type { Context } from '../context.ts'
import type { EventId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { statement } from '../storage/database.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import { clientEvent } from './client-event.ts'

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

/** What readers are told about the events that relate to an event. */
export type Relations = {
  /**
   * The `m.relations` of events, by event number, for those that have any. Two statements.
   *
   * Spec: Client-Server API, "Aggregations of child events".
   */
  bundle(reader: { userNid: number }, events: readonly StoredEvent[]): Promise<Map<number, JsonObject>>
}

type Aggregate = {
  parent: Buffer
  relation: string
  total: number
  latest: number
  participated: boolean
  references: Buffer[] | null
}

const mostReferences = 50

// An edit counts when its sender is the one of the event and it is no state event; redacted ones count nowhere.
const aggregates = statement<Aggregate>(
  'aggregated relations',
  `select r.parent, r.relation, count(*)::int as total, max(r.event_nid) as latest, bool_or(r.sender = $4) as participated,
     case when r.relation = 'm.reference' then (array_agg(e.event_id order by r.event_nid))[1:${mostReferences}] end as references
   from unnest($1::int[], $2::bytea[], $3::int[]) as w(room, parent, sender)
   join event_relations r on r.room = w.room and r.parent = w.parent
   join events e on e.event_nid = r.event_nid and e.redacted_by is null and e.timeline is not null
   where r.relation in ('m.thread', 'm.reference') or (r.relation = 'm.replace' and r.sender = w.sender)
   group by r.parent, r.relation`,
)

export function createRelations(ctx: Pick<Context, 'database' | 'events' | 'clock'>): Relations {
  return {
    async bundle(reader, events) {
      const bundles = new Map<number, JsonObject>()
      const parents = events.filter((event) => event.redactedBy === null && event.event.pdu.state_key === undefined)
      if (parents.length === 0) return bundles
      const rows = await ctx.database.read(aggregates, [
        parents.map((event) => event.room),
        parents.map((event) => eventIdBytes(event.event.eventId)),
        parents.map((event) => event.senderNid),
        reader.userNid,
      ])
      if (rows.length === 0) return bundles
      const shown = rows.filter(({ relation }) => relation !== 'm.reference')
      const latest = new Map((await ctx.events.byNids(shown.map((row) => row.latest))).map((one) => [one.nid, one]))
      const nidOf = new Map(parents.map((event) => [eventIdBytes(event.event.eventId).toString('hex'), event]))
      for (const row of rows) {
        const parent = nidOf.get(row.parent.toString('hex'))!
        const newest = latest.get(row.latest)
        const text = bundleOf(row, parent, newest && clientEvent(newest, view(newest)))
        if (text) bundles.set(parent.nid, { ...bundles.get(parent.nid), [row.relation]: text })
      }
      return bundles
    },
  }

  function view(event: StoredEvent) {
    return { now: ctx.clock.now(), roomId: event.event.roomId }
  }
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
