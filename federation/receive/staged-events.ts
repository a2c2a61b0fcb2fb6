import { LRUCache } from 'lru-cache'
import { canonicalJson } from '../../src/matrix/canonical-json.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { parseEvent } from '../../src/matrix/event-format.ts'
import type { RoomId, ServerName } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import type { Acceptance, Failure } from '../../src/rooms/accept-event.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { localMember } from '../../src/rooms/remote-memberships.ts'
import { upTo } from '../../src/storage/caches.ts'
import { eventIdBytes } from '../../src/storage/event-codec.ts'
import {
  deleteStagedEvents,
  deleteStagedEventsIn,
  hurryStagedEvents,
  putOffStagedEvents,
  roomsWithStagedEvents,
  type StagedEvent,
  stagedEventsIn,
  stageEvents,
} from '../../src/storage/staged-events.ts'
import { createDurableWork, type DurableWork } from '../durable-work.ts'
import type { Federation } from '../federation.ts'
import { serversToAsk } from '../remote/servers-to-ask.ts'
import { acceptChecked } from './policy-check.ts'
import { receiveAfterGap } from './receive-events.ts'

/**
 * Events that cannot be judged yet: what they build on is fetched, and the room's policy server asked, after the server that
 * sent them was answered, so that no room and no server waits for another. Those that can be are never here.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", "Backfilling and retrieving missing events" (v1.19).
 */
export type StagedEvents = DurableWork & {
  /** Keeps events whose signatures and hashes were checked. Resolves when they are on disk. */
  stage(room: HotRoom, origin: ServerName, events: readonly RoomEvent[]): Promise<void>
  /** Something has come into a room: events may have waited for it. */
  cameInto(roomId: RoomId): void
}

/** Events of one room that are looked at together. */
const atOnce = 200
/** Requests for what is missing that one server gets in vain before its other events have to wait. */
const mostInVain = 3
/** Milliseconds until what is missing is asked for again: twice as long each time. */
const firstPatience = 1_000
const longestPatience = 10 * 60_000
/** Milliseconds after which an event is given up: what nobody tells for a day will come with what is built on it, or never. */
const lifetime = 24 * 60 * 60_000
/** Other servers that are asked in turn. */
const mostServers = 10
/** Rooms, and milliseconds, for which it is remembered that something waited there. */
const roomsRemembered = 10_000
const rememberedFor = 60 * 60_000

export function createStagedEvents(federation: Federation): StagedEvents {
  const { ctx } = federation
  /** Rooms in which something has come that others may have waited for. */
  const moved = new Set<RoomId>()
  const waitedLately = new LRUCache<RoomId, true>({ ...upTo(roomsRemembered), ttl: rememberedFor })
  ctx.invalidations.subscribe('staged-events', (key) => {
    if (key === undefined) return
    moved.add(key as RoomId)
    waitedLately.set(key as RoomId, true)
  })
  // What could not be had from a server that was silent may be had now: since it came back, or we did.
  const hurry = async (server: string | undefined): Promise<void> => {
    const rows = await ctx.database.read(hurryStagedEvents, [ctx.clock.now(), server ?? null])
    for (const row of rows) ctx.invalidations.publish('staged-events', row.room_id)
  }
  const hurrySafely = (server: string | undefined): void => {
    hurry(server).catch((error: unknown) => ctx.log.warn({ err: error, server }, 'Events that wait are not hurried'))
  }
  ctx.invalidations.subscribe('destinations', hurrySafely)
  const work = createDurableWork<{ room: number; room_id: RoomId }>(ctx, {
    name: 'staged events',
    heard: 'staged-events',
    failure: 'The events that wait in a room could not be looked at',
    async due() {
      const named = [...moved]
      const rows = await ctx.database.read(roomsWithStagedEvents, [ctx.clock.now(), named])
      const waiting = new Set(rows.map((row) => row.room_id))
      for (const roomId of named) if (!waiting.has(roomId)) moved.delete(roomId)
      return rows
    },
    keyOf: ({ room }) => room,
    async run({ room_id: roomId }) {
      moved.delete(roomId)
      while (await takeStaged(federation, roomId)) {}
    },
  })
  hurrySafely(undefined)
  return {
    async stage({ room, roomId }, origin, events) {
      const ids = events.map(({ eventId }) => eventIdBytes(eventId))
      const texts = events.map(({ pdu }) => canonicalJson(pdu as unknown as JsonObject))
      await ctx.database.read(stageEvents, [room, origin, ids, texts, ctx.clock.now()])
      ctx.invalidations.publish('staged-events', roomId)
    },
    cameInto(roomId) {
      if (waitedLately.has(roomId)) ctx.invalidations.publish('staged-events', roomId)
    },
    close: work.close,
  }
}

type Outcome = Acceptance | Failure

/** One look at what waits in a room. @returns whether something came in, so that others may be able to. */
async function takeStaged(federation: Federation, roomId: RoomId): Promise<boolean> {
  const { ctx } = federation
  const room = await ctx.hotRooms.get(roomId)
  if (!room) return false
  const rows = await ctx.database.read(stagedEventsIn, [room.room, atOnce])
  if (rows.length === 0) return false
  if ((await localMember(ctx, room)) === undefined) {
    await ctx.database.read(deleteStagedEventsIn, [room.room])
    return false
  }
  const events = rows.map((row) => parseStaged(row, room))
  const outcomes: Outcome[] = await acceptChecked(federation, room, events)
  await fillGaps(federation, room, rows, events, outcomes)
  const isDone = (index: number): boolean => isDecided(outcomes[index]!)
  const done = rows.filter((row, index) => isDone(index) || row.staged_at + lifetime < ctx.clock.now())
  await ctx.database.read(deleteStagedEvents, [done.map((row) => row.position)])
  return rows.some((_, index) => isDone(index))
}

function isDecided({ outcome }: Outcome): boolean {
  return outcome !== 'missing' && outcome !== 'failed'
}

/** What was checked when it came is not checked again. */
function parseStaged(row: StagedEvent, { rules }: HotRoom): RoomEvent {
  const parsed = parseEvent(parseJson(row.event, { integers: 'any' }) as JsonObject, rules)
  if ('error' in parsed) throw new Error(`a staged event is none: ${parsed.error}`)
  return parsed.event
}

/** Asks for what the events lack whose time it is, and puts those off that it did not help. */
async function fillGaps(
  federation: Federation,
  room: HotRoom,
  rows: readonly StagedEvent[],
  events: readonly RoomEvent[],
  outcomes: Outcome[],
): Promise<void> {
  const { ctx } = federation
  const inVain = new Map<ServerName, number>()
  const putOff: StagedEvent[] = []
  for (const [index, row] of rows.entries()) {
    if (isDecided(outcomes[index]!) || row.try_at > ctx.clock.now()) continue
    const server = await serverToAsk(federation, room, row)
    if ((inVain.get(server) ?? 0) < mostInVain) {
      outcomes[index] = await receiveAfterGap(federation, server, room, events[index]!)
      if (isDecided(outcomes[index]!)) continue
      inVain.set(server, (inVain.get(server) ?? 0) + 1)
    }
    putOff.push(row)
  }
  const now = ctx.clock.now()
  const later = putOff.map(({ tries }) => now + Math.min(longestPatience, firstPatience * 2 ** Math.min(tries, 20)))
  await ctx.database.read(putOffStagedEvents, [putOff.map(({ position }) => position), later])
}

/** First who sent the event, then also the others in the room, in turn. */
async function serverToAsk(federation: Federation, room: HotRoom, { origin, tries }: StagedEvent): Promise<ServerName> {
  if (tries === 0) return origin
  const servers = (await serversToAsk(federation, room, origin)).slice(0, mostServers)
  return servers[tries % servers.length] ?? origin
}
