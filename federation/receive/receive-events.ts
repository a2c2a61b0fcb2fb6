import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, RoomId, ServerName } from '../../src/matrix/ids.ts'
import { MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import { type Acceptance, acceptEvents, type Failure } from '../../src/rooms/accept-event.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import { eventIdBytes, eventIdText } from '../../src/storage/event-codec.ts'
import { eventNumbers } from '../../src/storage/event-graph.ts'
import type { Federation } from '../federation.ts'
import { eventAuth, eventsById, missingEvents, stateBefore, stateIdsBefore } from '../remote/history.ts'

type Outcome = Acceptance | Failure

/**
 * Takes events of one room in, whose signatures and hashes were checked, and fetches from their origin what they cite and
 * we lack: first the events in between, then the state where there is still a gap.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", 4 to 6; "Backfilling and retrieving missing events".
 */
export async function receiveEvents(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<readonly Outcome[]> {
  const outcomes = [...(await acceptEvents(federation.ctx, room.roomId, events))]
  for (const [index, event] of events.entries()) {
    if (outcomes[index]!.outcome === 'missing') outcomes[index] = await receiveAfterGap(federation, origin, room, event)
  }
  return outcomes
}

async function receiveAfterGap(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<Outcome> {
  const { ctx } = federation
  const { roomId } = room
  const [first] = await acceptEvents(ctx, roomId, [event])
  if (first!.outcome !== 'missing') return first!
  if (first!.authEvents.length > 0) await fetchAuth(federation, origin, room, event)
  if (first!.prevEvents.length > 0) {
    const earliest = room.extremities.map((ref) => ref.event.eventId).slice(0, MAX_MISSING_EVENTS)
    const between = await missingEvents(federation, origin, room, earliest, [event.eventId])
    if (between.length > 0) await acceptGap(federation, origin, room, between)
  }
  // The state before an event that was pushed to us is never taken from whoever pushed it: a server that does not tell what
  // came before is not heard. The next event that is built on this one is another chance.
  const [second] = await acceptEvents(ctx, roomId, [event])
  return second!
}

/** The oldest of what lies in between may have a gap before it too: there the state is asked for. */
async function acceptGap(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<void> {
  const sorted = [...events].sort((one, other) => one.pdu.depth - other.pdu.depth)
  for (const event of sorted) {
    const [outcome] = await acceptEvents(federation.ctx, room.roomId, [event])
    if (outcome!.outcome === 'missing') await acceptWithState(federation, origin, room, event)
  }
}

async function acceptWithState(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<Outcome> {
  const told = await fetchState(federation, origin, room, event.eventId)
  if (!told) return { outcome: 'missing', prevEvents: event.prevEvents, authEvents: [] }
  const known = await storedOf(federation, room, told)
  const stateBefore = told.filter((eventId) => known.has(eventId))
  const [outcome] = await acceptEvents(federation.ctx, room.roomId, [event], { stateBefore })
  return outcome!
}

/** Missing events that are asked for one by one: for more, the whole state is less work for everybody. */
const mostSingleEvents = 50

/** Stores the state before an event with its auth chain, and says which events it has. */
async function fetchState(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  eventId: EventId,
): Promise<readonly EventId[] | undefined> {
  const ids = await stateIdsBefore(federation, origin, room, eventId)
  if (ids && ids.state.length > 0) {
    const named = [...new Set([...ids.authChain, ...ids.state])]
    const known = await storedOf(federation, room, named)
    const lacking = named.filter((id) => !known.has(id))
    if (lacking.length <= Math.max(mostSingleEvents, named.length / 10)) {
      const events = await eventsById(federation, origin, room, lacking)
      if (events.length > 0) await storeUsable(federation, room.roomId, events)
      return ids.state
    }
  }
  const told = await stateBefore(federation, origin, room, eventId)
  if (!told) return undefined
  await storeUsable(federation, room.roomId, [...told.authChain, ...told.state])
  return told.state.map((event) => event.eventId)
}

/** Which of some events are stored here, as events of the room. */
export async function storedOf(
  { ctx }: Federation,
  room: HotRoom,
  eventIds: readonly EventId[],
): Promise<ReadonlySet<EventId>> {
  const rows = await ctx.database.read(eventNumbers, [eventIds.map(eventIdBytes)])
  const here = rows.filter((row) => row.room === room.room)
  return new Set(here.map((row) => eventIdText(row.event_id, room.rules.eventFormat)))
}

async function fetchAuth(federation: Federation, origin: ServerName, room: HotRoom, event: RoomEvent): Promise<void> {
  const chain = await eventAuth(federation, origin, room, event.eventId)
  if (chain.length > 0) await storeUsable(federation, room.roomId, chain)
}

/** What cannot be judged is left out. */
async function storeUsable({ ctx }: Federation, roomId: RoomId, events: readonly RoomEvent[]): Promise<void> {
  await storeOutliers(ctx, roomId, events)
}
