import type { RoomEvent } from '../../src/matrix/event.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import { MAX_MISSING_EVENTS } from '../../src/matrix/limits.ts'
import type { Acceptance, AcceptOptions, Failure } from '../../src/rooms/accept-event.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import type { Federation } from '../federation.ts'
import { fetchAuth, fetchState, storedOf } from '../remote/fetch-state.ts'
import { eventsById, missingEvents } from '../remote/history.ts'
import { acceptChecked } from './policy-check.ts'

type Outcome = Acceptance | Failure

/**
 * Takes events of one room in, whose signatures and hashes were checked, and fetches from their origin what they cite and
 * we lack: first the events in between, then the state where there is still a gap.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU", 4 to 7; "Backfilling and retrieving missing events".
 */
export async function receiveEvents(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<readonly Outcome[]> {
  const outcomes = [...(await acceptChecked(federation, room, events))]
  for (const [index, event] of events.entries()) {
    if (outcomes[index]!.outcome === 'missing') outcomes[index] = await receiveAfterGap(federation, origin, room, event)
  }
  return outcomes
}

/** Takes an event in once what it cites was fetched from a server that should have it. */
export async function receiveAfterGap(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<Outcome> {
  const first = await acceptOne(federation, room, event)
  if (first.outcome !== 'missing') return first
  if (first.prevEvents.length > 0) {
    const earliest = room.extremities.map((ref) => ref.event.eventId).slice(0, MAX_MISSING_EVENTS)
    const between = await missingEvents(federation, origin, room, earliest, [event.eventId])
    if (between.length > 0) await acceptGap(federation, origin, room, between)
  }
  // The state before an event that was pushed to us is never taken from whoever pushed it: a server that does not tell what
  // came before is not heard. The next event that is built on this one is another chance.
  return acceptWithAuth(federation, origin, room, event)
}

/** The oldest of what lies in between may have a gap before it too: there the state before what is missing is asked for. */
async function acceptGap(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<void> {
  const sorted = [...events].sort((one, other) => one.pdu.depth - other.pdu.depth)
  for (const event of sorted) {
    const outcome = await acceptOne(federation, room, event)
    if (outcome.outcome !== 'missing') continue
    if (outcome.prevEvents.length > 0) await acceptBeyondGap(federation, origin, room, event)
    else await acceptWithAuth(federation, origin, room, event)
  }
}

/** What is missing is had one by one with the state before each; else the state before what follows is asked for. */
async function acceptBeyondGap(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<void> {
  const placed = await storedOf(federation, room, event.prevEvents, { placed: true })
  const missing = event.prevEvents.filter((eventId) => !placed.has(eventId))
  const previous = await eventsById(federation, origin, room, missing)
  for (const one of previous) await acceptWithState(federation, origin, room, one)
  const outcome = await acceptWithAuth(federation, origin, room, event)
  const isWithout = previous.length < missing.length
  if (outcome.outcome === 'missing' && isWithout) await acceptWithState(federation, origin, room, event)
}

/** Takes an event in; where what it cites is missing, that is asked for. */
async function acceptWithAuth(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<Outcome> {
  const first = await acceptOne(federation, room, event)
  if (first.outcome !== 'missing' || first.authEvents.length === 0) return first
  await fetchAuth(federation, origin, room, event)
  return acceptOne(federation, room, event)
}

async function acceptWithState(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<Outcome> {
  const stateBefore = await fetchState(federation, origin, room, event.eventId)
  if (!stateBefore) return { outcome: 'missing', prevEvents: event.prevEvents, authEvents: [] }
  return acceptOne(federation, room, event, { stateBefore })
}

async function acceptOne(
  federation: Federation,
  room: HotRoom,
  event: RoomEvent,
  options: AcceptOptions = {},
): Promise<Outcome> {
  const [outcome] = await acceptChecked(federation, room, [event], options)
  return outcome!
}
