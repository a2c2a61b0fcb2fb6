import type { RoomEvent } from '../../src/matrix/event.ts'
import { type EventId, parseEventId, type ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { MAX_BACKFILL_EVENTS, MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import { parseJsonBytes } from '../../src/matrix/strict-json.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { domainIn } from '../../src/rooms/remote-memberships.ts'
import type { Federation } from '../federation.ts'
import { checkPdus } from '../receive/check-pdu.ts'

/** Room for a state of many thousand members. */
const mostStateBytes = 256 * 1024 * 1024
const mostStateIdBytes = 16 * 1024 * 1024
/** Milliseconds for what a client waits for. */
const waitedFor = 10_000
/** Requests for single events that run at a time. */
const eventsAtOnce = 5

/** The events between those we have and `latest`; none when the server does not say. Spec: `POST /get_missing_events`. */
export async function missingEvents(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  earliest: readonly EventId[],
  latest: readonly EventId[],
): Promise<RoomEvent[]> {
  const answer = await ask(federation, room, server, {
    method: 'POST',
    uri: `/_matrix/federation/v1/get_missing_events/${encodeURIComponent(room.roomId)}`,
    body: { earliest_events: earliest, latest_events: latest, limit: MAX_MISSING_EVENTS, min_depth: 0 },
  })
  return checkPdus(federation, answer?.events, room.roomId, room.rules)
}

/** The ids of the state before an event with its auth chain; undefined when the server does not say. Spec: `GET /state_ids`. */
export async function stateIdsBefore(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  eventId: EventId,
): Promise<{ state: readonly EventId[]; authChain: readonly EventId[] } | undefined> {
  const path = `/_matrix/federation/v1/state_ids/${encodeURIComponent(room.roomId)}`
  const uri = `${path}?event_id=${encodeURIComponent(eventId)}`
  const [state, authChain] = [new Set<EventId>(), new Set<EventId>()]
  return asked(federation, server, async ({ client, ctx }) => {
    const request = { method: 'GET', uri, maxBytes: mostStateIdBytes, origin: await domainIn(ctx, room) } as const
    await client.sendForLists(server, request, {
      lists: ['pdu_ids', 'auth_chain_ids'],
      async take(elements) {
        for (const { list, bytes } of elements) {
          const id = parseJsonBytes(bytes, { integers: 'any' })
          const eventId = typeof id === 'string' ? parseEventId(id) : undefined
          if (eventId !== undefined) (list === 'pdu_ids' ? state : authChain).add(eventId)
        }
      },
    })
    return { state: [...state], authChain: [...authChain] }
  })
}

/** Single events, as far as the server has them. Spec: `GET /event`. */
export async function eventsById(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  eventIds: readonly EventId[],
): Promise<RoomEvent[]> {
  const found: RoomEvent[] = []
  const wanted = [...eventIds]
  const work = async (): Promise<void> => {
    for (let eventId = wanted.pop(); eventId !== undefined; eventId = wanted.pop()) {
      const uri = `/_matrix/federation/v1/event/${encodeURIComponent(eventId)}`
      const answer = await ask(federation, room, server, { method: 'GET', uri })
      const events = await checkPdus(federation, answer?.pdus, room.roomId, room.rules)
      // Only what was asked for, whatever else is told.
      found.push(...events.filter((event) => event.eventId === eventId))
    }
  }
  await Promise.all(Array.from({ length: eventsAtOnce }, work))
  return found
}

/** The auth chain of an event; none when the server does not say. Spec: `GET /event_auth`. */
export async function eventAuth(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  eventId: EventId,
): Promise<RoomEvent[]> {
  const uri = `/_matrix/federation/v1/event_auth/${encodeURIComponent(room.roomId)}/${encodeURIComponent(eventId)}`
  const answer = await ask(federation, room, server, { method: 'GET', uri, maxBytes: mostStateBytes })
  return checkPdus(federation, answer?.auth_chain, room.roomId, room.rules)
}

/** Events and those before them, as many as the server gives at once. Spec: `GET /backfill`. */
export async function backfill(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  from: readonly EventId[],
): Promise<RoomEvent[]> {
  const starts = from.map((eventId) => `v=${encodeURIComponent(eventId)}`).join('&')
  const path = `/_matrix/federation/v1/backfill/${encodeURIComponent(room.roomId)}`
  const uri = `${path}?${starts}&limit=${MAX_BACKFILL_EVENTS}`
  const answer = await ask(federation, room, server, { method: 'GET', uri, timeout: waitedFor })
  const pdus = Array.isArray(answer?.pdus) ? answer.pdus.slice(0, MAX_BACKFILL_EVENTS) : []
  return checkPdus(federation, pdus, room.roomId, room.rules)
}

export type EventAtTime = { readonly eventId: EventId; readonly ts: number }

/** The event that a server has nearest to a time, as it says. Spec: `GET /timestamp_to_event`. */
export async function eventAtTime(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  ts: number,
  direction: 'f' | 'b',
): Promise<EventAtTime | undefined> {
  const path = `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(room.roomId)}`
  const uri = `${path}?ts=${ts}&dir=${direction}`
  const answer = await ask(federation, room, server, { method: 'GET', uri, timeout: waitedFor })
  const eventId = typeof answer?.event_id === 'string' ? parseEventId(answer.event_id) : undefined
  const told = answer?.origin_server_ts
  return eventId !== undefined && Number.isSafeInteger(told) ? { eventId, ts: told as number } : undefined
}

function ask(
  federation: Federation,
  room: HotRoom,
  server: ServerName,
  request: Omit<Parameters<Federation['client']['send']>[1], 'origin'>,
): Promise<JsonObject | undefined> {
  return asked(federation, server, async ({ client, ctx }) =>
    client.send(server, { ...request, origin: await domainIn(ctx, room) }),
  )
}

/** Undefined when the server does not say. */
async function asked<Answer>(
  federation: Federation,
  server: ServerName,
  run: (federation: Federation) => Promise<Answer>,
): Promise<Answer | undefined> {
  try {
    return await run(federation)
  } catch (error) {
    federation.ctx.log.debug(
      { server, error: (error as Error).message },
      'Another server did not tell what was missing',
    )
    return undefined
  }
}
