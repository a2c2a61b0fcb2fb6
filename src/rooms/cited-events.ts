import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { createEventIdOf } from '../matrix/event.ts'
import type { EventId } from '../matrix/ids.ts'
import { redactionTarget } from '../matrix/redaction.ts'
import { eventIdBytes, eventIdText } from '../storage/event-codec.ts'
import { tracesOfEvents } from '../storage/event-graph.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { HotRoom } from './hot-room.ts'

/** What the database knows about events that arrive and about those that they name. */
export type CitedEvents = {
  get(eventId: EventId): StoredEvent | undefined
  /** Whether an event that we have follows it. */
  isAwaited(eventId: EventId): boolean
  /** The events that follow it. */
  followersOf(eventId: EventId): readonly number[]
  /** The redactions of it that came first. */
  redactionsOf(eventId: EventId): readonly number[]
}

/** Two statements for any number of events; none of the names is believed to be of this room. */
export async function loadCitedEvents(
  ctx: Pick<Context, 'database' | 'events'>,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<CitedEvents> {
  const ids = new Set<EventId>()
  for (const event of events) {
    for (const eventId of namedBy(event, room)) ids.add(eventId)
  }
  const own = events.map(({ eventId }) => eventIdBytes(eventId))
  const [stored, traces] = await Promise.all([
    ctx.events.byIds([...ids]),
    ctx.database.read(tracesOfEvents, [room.room, own]),
  ])
  const byId = new Map(stored.map((one) => [one.event.eventId, one]))
  const followers = new Map<EventId, number[]>()
  const redactions = new Map<EventId, number[]>()
  for (const { event_id: bytes, redaction, referenced_by: follower } of traces) {
    const eventId = eventIdText(bytes, room.rules.eventFormat)
    const list = redaction === null ? followers : redactions
    list.set(eventId, [...(list.get(eventId) ?? []), redaction ?? follower!])
  }
  return {
    get: (eventId) => byId.get(eventId),
    isAwaited: (eventId) => followers.has(eventId),
    followersOf: (eventId) => followers.get(eventId) ?? [],
    redactionsOf: (eventId) => redactions.get(eventId) ?? [],
  }
}

function namedBy(event: RoomEvent, { rules }: HotRoom): EventId[] {
  const names = [event.eventId, ...event.prevEvents, ...event.authEvents]
  const redacted = event.pdu.type === 'm.room.redaction' ? redactionTarget(event.pdu, rules) : undefined
  if (redacted !== undefined) names.push(redacted)
  if (rules.createEventIsRoomId) names.push(createEventIdOf(event.roomId))
  return names
}

/** The events that an event names; undefined: not known here. */
export type NamedEvents = {
  readonly prev: readonly (StoredEvent | undefined)[]
  readonly auth: readonly (StoredEvent | undefined)[]
  /** Those whose state afterwards is not known. */
  readonly missingPrev: readonly EventId[]
  readonly missingAuth: readonly EventId[]
}

/** An outlier says nothing of the state after it, and an event of another room nothing at all. */
export function namedEvents(event: RoomEvent, room: Pick<HotRoom, 'room'>, cited: CitedEvents): NamedEvents {
  const prev = event.prevEvents.map((eventId) => {
    const stored = cited.get(eventId)
    return stored?.room === room.room ? stored : undefined
  })
  const auth = event.authEvents.map((eventId) => cited.get(eventId))
  const isPlaced = (stored: StoredEvent | undefined): boolean =>
    stored !== undefined && (stored.flags & EventFlags.outlier) === 0 && hasState(stored)
  return {
    prev,
    auth,
    missingPrev: event.prevEvents.filter((_, index) => !isPlaced(prev[index])),
    missingAuth: event.authEvents.filter((_, index) => auth[index] === undefined),
  }
}

/** Of some back-filled events the state is not known. */
function hasState({ timeline, stateDelta }: StoredEvent): boolean {
  return timeline === null || timeline > 0 || stateDelta !== null
}
