import { type Static, Type } from '@sinclair/typebox'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { type EventId, parseEventId, parseRoomId } from '../../src/matrix/ids.ts'
import type { Json } from '../../src/matrix/json.ts'
import { MAX_BACKFILL_EVENTS, MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import { eventsByTime } from '../../src/rooms/event-by-timestamp.ts'
import { eventIdText } from '../../src/storage/event-codec.ts'
import { eventIdsByNumber } from '../../src/storage/event-graph.ts'
import { EventFlags, type StoredEvent } from '../../src/storage/events.ts'
import type { Federation } from '../federation.ts'
import { federationEndpoint } from './federation-endpoint.ts'
import { type HistoryAccess, historyForServer } from './history-access.ts'
import {
  answerWithEvents,
  notFound,
  notInRoom,
  pdusOf,
  prunedForServer,
  roomForServer,
  stateWithChain,
  visibleToServer,
} from './room-access.ts'

const eventIdQuery = Type.Object({ event_id: Type.String() })
const timeQuery = Type.Object({
  ts: Type.Integer({ minimum: 0 }),
  dir: Type.Union([Type.Literal('f'), Type.Literal('b')]),
})

/** Spec: Server-Server API, "Retrieving events", "Backfilling and retrieving missing events" (v1.19). */
export function roomHistory(federation: Federation): Endpoint[] {
  const { ctx } = federation
  return [
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/event/{eventId}',
      async handle({ origin, destination, params }) {
        const eventId = parseEventId(params.eventId!)
        const [stored] = eventId === undefined ? [] : await ctx.events.byIds([eventId], { edges: true })
        const room = stored && (await ctx.hotRooms.getByNid(stored.room))
        if (!stored || !room || (stored.flags & EventFlags.rejected) !== 0 || isForgotten(stored)) throw notFound()
        // Whether there is such an event is not told to who may not see it.
        const { among } = await historyForServer(federation, room.roomId, origin).catch(() => {
          throw notFound()
        })
        const visible = await visibleToServer(federation, room, origin, await among([stored]))
        if (visible.length === 0) throw notFound()
        return { origin: destination, origin_server_ts: ctx.clock.now(), pdus: pdusOf(visible) }
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/state/{roomId}',
      params: { roomId: parseRoomId },
      query: eventIdQuery,
      async handle({ origin, params, query }) {
        const access = await historyForServer(federation, params.roomId!, origin)
        const { room } = access
        const stored = await access.event(query.event_id as string)
        const { state, authChain } = await stateWithChain(federation, room, stored)
        return answerWithEvents(federation, {}, { pdus: state, auth_chain: authChain })
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/state_ids/{roomId}',
      params: { roomId: parseRoomId },
      query: eventIdQuery,
      async handle({ origin, params, query }) {
        const access = await historyForServer(federation, params.roomId!, origin)
        const { room } = access
        const stored = await access.event(query.event_id as string)
        const { state, authChain } = await stateWithChain(federation, room, stored)
        const ids = async (nids: readonly number[]): Promise<EventId[]> => {
          const rows = await ctx.database.read(eventIdsByNumber, [nids])
          return rows.map((row) => eventIdText(row.event_id, room.rules.eventFormat))
        }
        return { pdu_ids: await ids(state), auth_chain_ids: await ids(authChain) }
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/event_auth/{roomId}/{eventId}',
      params: { roomId: parseRoomId },
      async handle({ origin, params }) {
        const access = await historyForServer(federation, params.roomId!, origin)
        const { room } = access
        const stored = await access.event(params.eventId!)
        const cited = await ctx.events.byIds(stored.event.authEvents)
        const nids = await ctx.hotRooms.authGraphs.chainWith(
          room,
          cited.map(({ nid }) => nid),
        )
        return { auth_chain: pdusOf(await ctx.events.byNids(nids, { edges: true })) }
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/backfill/{roomId}',
      params: { roomId: parseRoomId },
      query: Type.Object({ v: Type.Array(Type.String()), limit: Type.Integer() }),
      async handle({ origin, destination, params, query }) {
        const access = await historyForServer(federation, params.roomId!, origin)
        const { room } = access
        const limit = Math.min(Math.max(query.limit as number, 1), MAX_BACKFILL_EVENTS)
        const starts = (query.v as string[]).slice(0, MAX_MISSING_EVENTS)
        const found = await walkBack(federation, access, starts, new Set(), limit)
        const told = found.filter((stored) => !isForgotten(stored))
        const events = await prunedForServer(federation, room, origin, told)
        return { origin: destination, origin_server_ts: ctx.clock.now(), pdus: pdusOf(events) }
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/timestamp_to_event/{roomId}',
      params: { roomId: parseRoomId },
      query: timeQuery,
      async handle({ origin, params, query }) {
        const room = await roomForServer(federation, params.roomId!, origin)
        const { ts, dir } = query as Static<typeof timeQuery>
        const [found] = await visibleToServer(federation, room, origin, await eventsByTime(ctx, room, ts, dir))
        if (!found) throw notFound()
        return { event_id: found.event.eventId, origin_server_ts: found.event.pdu.origin_server_ts }
      },
    }),
    federationEndpoint(federation, {
      method: 'post',
      path: '/_matrix/federation/v1/get_missing_events/{roomId}',
      params: { roomId: parseRoomId },
      async handle({ origin, params, body }) {
        const access = await historyForServer(federation, params.roomId!, origin)
        const { room } = access
        const [latest, earliest] = [idsIn(body.latest_events), idsIn(body.earliest_events)]
        const asked = typeof body.limit === 'number' ? body.limit : 10
        const limit = Math.min(Math.max(asked, 1), MAX_MISSING_EVENTS)
        // Those that were named are known to the asker: only what is before them is wanted.
        const found = await walkBack(federation, access, latest, new Set(earliest), limit + latest.length)
        const between = found.filter(({ event }) => !latest.includes(event.eventId)).slice(0, limit)
        return { events: pdusOf((await prunedForServer(federation, room, origin, between)).reverse()) }
      },
    }),
  ]
}

function idsIn(value: Json | undefined): string[] {
  if (!Array.isArray(value)) throw new MatrixError('M_BAD_JSON', 'Expected a list of event ids')
  return value.filter((one): one is string => typeof one === 'string').slice(0, MAX_MISSING_EVENTS)
}

/** What an administrator has purged: of it remains what holds the graph together, which is no event to be shown. */
function isForgotten({ timeline, flags }: StoredEvent): boolean {
  return timeline === null && (flags & (EventFlags.outlier | EventFlags.rejected | EventFlags.softFailed)) === 0
}

/**
 * The events from some back along their prev_events, breadth first, without those of `stop`, what is not of the room and what
 * may not be asked about.
 *
 * @throws MatrixError M_FORBIDDEN when a server that is not in the room may ask about none of those it starts from.
 */
async function walkBack(
  { ctx }: Federation,
  { room, among, isIn }: HistoryAccess,
  from: readonly string[],
  stop: ReadonlySet<string>,
  limit: number,
): Promise<StoredEvent[]> {
  const seen = new Set<string>(stop)
  const found: StoredEvent[] = []
  let open = from.flatMap((id) => parseEventId(id) ?? [])
  while (open.length > 0 && found.length < limit) {
    const wanted = [...new Set(open)].filter((id) => !seen.has(id))
    for (const id of wanted) seen.add(id)
    const events = await ctx.events.byIds(wanted, { edges: true })
    const inRoom = events.filter(({ room: of, flags }) => of === room.room && (flags & EventFlags.rejected) === 0)
    const usable = await among(inRoom)
    found.push(...usable.filter(({ flags }) => (flags & EventFlags.outlier) === 0))
    open = usable.flatMap(({ event }) => event.prevEvents)
  }
  if (!isIn && found.length === 0) throw notInRoom()
  return found.sort((one, other) => other.event.pdu.depth - one.event.pdu.depth).slice(0, limit)
}
