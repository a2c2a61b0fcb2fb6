import { LRUCache } from 'lru-cache'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { type EventId, type ServerName, serverNameOf } from '../../src/matrix/ids.ts'
import { MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { storeHistory } from '../../src/rooms/store-history.ts'
import { upTo } from '../../src/storage/caches.ts'
import { eventIdText } from '../../src/storage/event-codec.ts'
import { missingBefore } from '../../src/storage/event-graph.ts'
import type { StoredEvent } from '../../src/storage/events.ts'
import type { Federation } from '../federation.ts'
import { checkPolicy } from '../receive/policy-check.ts'
import { fetchState, storedOf } from './fetch-state.ts'
import { backfill } from './history.ts'
import { storeLackingAuth } from './lacking-auth.ts'
import { serversToAsk } from './servers-to-ask.ts'

/** Servers that are asked for one gap. */
const mostServers = 5
/** Milliseconds for which nobody is asked again about a gap that could not be filled, unless a server comes back. */
const patience = 60_000
const mostRemembered = 10_000

/** Fills the gap before an event as far as servers in the room help. @returns whether anything came. */
export type FillGap = (room: HotRoom, after: StoredEvent) => Promise<boolean>

/**
 * Fills gaps: those who want the same one at the same time wait for the same answer.
 *
 * Spec: Server-Server API, "Backfilling and retrieving missing events".
 */
export function createFillGap(federation: Federation): FillGap {
  const underWay = new Map<number, Promise<boolean>>()
  const inVain = new LRUCache<number, true>({ ...upTo(mostRemembered), ttl: patience })
  federation.ctx.invalidations.subscribe('destinations', () => inVain.clear())
  const fill = async (room: HotRoom, after: StoredEvent): Promise<boolean> => {
    let isFilled = false
    try {
      isFilled = await fillFromSomebody(federation, room, after)
    } catch (error) {
      federation.ctx.log.warn({ err: error, roomId: room.roomId }, 'A gap could not be filled')
    }
    if (!isFilled) inVain.set(after.nid, true)
    return isFilled
  }
  return async (room, after) => {
    if (inVain.has(after.nid)) return false
    const filling = underWay.get(after.nid) ?? fill(room, after).finally(() => underWay.delete(after.nid))
    underWay.set(after.nid, filling)
    return filling
  }
}

async function fillFromSomebody(federation: Federation, room: HotRoom, after: StoredEvent): Promise<boolean> {
  // A timeline is loaded without the predecessors, which tell what belongs to the gap.
  const [whole] = await federation.ctx.events.byNids([after.nid], { edges: true })
  if (!whole) return false
  // What is missing may also lie behind events that are not shown.
  const rows = await federation.ctx.database.read(missingBefore, [after.nid, MAX_MISSING_EVENTS])
  const behind = rows.map((row) => eventIdText(row.event_id, room.rules.eventFormat))
  const named = [...new Set([...whole.event.prevEvents, ...behind])]
  const placed = await storedOf(federation, room, named, { placed: true })
  const missing = named.filter((eventId) => !placed.has(eventId)).slice(0, MAX_MISSING_EVENTS)
  if (missing.length === 0) return false
  // The sender's has what it built on.
  const first = serverNameOf(whole.event.pdu.sender)
  for (const server of (await serversToAsk(federation, room, first)).slice(0, mostServers)) {
    const told = await backfill(federation, server, room, missing)
    // What has its place in the timeline already ends the gap: what is behind it belongs to another one.
    const ids = told.map(({ eventId }) => eventId)
    const here = await storedOf(federation, room, ids, { placed: true })
    const events = connected(
      missing,
      told.filter(({ eventId }) => !here.has(eventId)),
    )
    if (events.length > 0 && (await fillWith(federation, server, room, after, events))) return true
  }
  return false
}

/** What can be reached from some events along prev_events, with them, the newest first. */
function connected(from: readonly EventId[], told: readonly RoomEvent[]): RoomEvent[] {
  const byId = new Map(told.map((event) => [event.eventId, event]))
  const reached = new Set<RoomEvent>()
  let open = from
  while (open.length > 0) {
    const found = open.flatMap((eventId) => byId.get(eventId) ?? []).filter((event) => !reached.has(event))
    for (const event of found) reached.add(event)
    open = [...new Set(found.flatMap(({ prevEvents }) => prevEvents))]
  }
  return [...reached].sort(
    (one, other) => other.pdu.depth - one.pdu.depth || other.pdu.origin_server_ts - one.pdu.origin_server_ts,
  )
}

/** Whether anything was stored, or is there already. */
async function fillWith(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  after: StoredEvent,
  events: readonly RoomEvent[],
): Promise<boolean> {
  const oldest = events.at(-1)!
  await storeLackingAuth(federation, server, room, events)
  const stateBefore =
    oldest.prevEvents.length === 0 ? undefined : await fetchState(federation, server, room, oldest.eventId)
  const { events: checked, unwanted } = await checkPolicy(federation, room, events)
  await storeHistory(federation.ctx, room.roomId, checked, {
    before: after.timeline!,
    unwanted: new Map([...unwanted].map(([eventId, { message }]) => [eventId, message] as const)),
    ...(stateBefore && stateBefore.length > 0 && { statesBefore: new Map([[oldest.eventId, stateBefore]]) }),
  })
  // What is stored without a place is progress too: behind it there may be something.
  const ids = events.map(({ eventId }) => eventId)
  return (await storedOf(federation, room, ids, { placed: true })).size > 0
}
