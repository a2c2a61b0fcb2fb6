import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, ServerName } from '../../src/matrix/ids.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import { eventIdBytes, eventIdText } from '../../src/storage/event-codec.ts'
import { eventNumbers } from '../../src/storage/event-graph.ts'
import { EventFlags } from '../../src/storage/events.ts'
import type { Federation } from '../federation.ts'
import { eventAuth, eventsById, stateIdsBefore } from './history.ts'
import { storeToldState } from './told-state.ts'

/** Missing events that are asked for one by one: for more, the whole state is less work for everybody. */
const mostSingleEvents = 50

/**
 * Stores the state before an event with its auth chain, and says which events it has: those of them that are stored here now.
 *
 * @param idsFirst Whether a server that does not tell the ids is not asked for the whole either: others may know better.
 */
export async function fetchState(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  eventId: EventId,
  { idsFirst = false } = {},
): Promise<readonly EventId[] | undefined> {
  const ids = await stateIdsBefore(federation, origin, room, eventId)
  if (idsFirst && !ids?.state.length) return undefined
  if (ids && ids.state.length > 0) {
    const named = [...new Set([...ids.authChain, ...ids.state])]
    const known = await storedOf(federation, room, named)
    const lacking = named.filter((id) => !known.has(id))
    if (lacking.length <= Math.max(mostSingleEvents, named.length / 10)) {
      const events = await eventsById(federation, origin, room, lacking)
      if (events.length > 0) await storeOutliers(federation.ctx, room.roomId, events)
      return storedAmong(federation, room, ids.state)
    }
  }
  const told = await storeToldState(federation, origin, room, eventId)
  return told && storedAmong(federation, room, told)
}

async function storedAmong(federation: Federation, room: HotRoom, eventIds: readonly EventId[]): Promise<EventId[]> {
  const stored = await storedOf(federation, room, eventIds)
  return eventIds.filter((eventId) => stored.has(eventId))
}

/**
 * Which of some events are stored here, as events of the room.
 *
 * @param placed Whether they must have their place in its graph, and not only be known because others name them.
 */
export async function storedOf(
  { ctx }: Federation,
  room: HotRoom,
  eventIds: readonly EventId[],
  { placed = false } = {},
): Promise<ReadonlySet<EventId>> {
  if (eventIds.length === 0) return new Set()
  const rows = await ctx.database.read(eventNumbers, [eventIds.map(eventIdBytes)])
  const here = rows.filter((row) => row.room === room.room && !(placed && (row.flags & EventFlags.outlier) !== 0))
  return new Set(here.map((row) => eventIdText(row.event_id, room.rules.eventFormat)))
}

/** Stores the auth chain of an event, as far as it is told. */
export async function fetchAuth(
  federation: Federation,
  origin: ServerName,
  room: HotRoom,
  event: RoomEvent,
): Promise<void> {
  const chain = await eventAuth(federation, origin, room, event.eventId)
  if (chain.length > 0) await storeOutliers(federation.ctx, room.roomId, chain)
}
