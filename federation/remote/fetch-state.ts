import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, ServerName } from '../../src/matrix/ids.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import { eventIdBytes, eventIdText } from '../../src/storage/event-codec.ts'
import { type EventNumberRow, eventNumbers } from '../../src/storage/event-graph.ts'
import { EventFlags } from '../../src/storage/events.ts'
import type { Federation } from '../federation.ts'
import { eventAuth, eventsById, stateIdsBefore } from './history.ts'
import { storeToldState } from './told-state.ts'

/** Missing events that are asked for one by one: for more, the whole state is less work for everybody. */
const mostSingleEvents = 50

/** Events that are looked for in one statement: others get their turn between. */
const lookedForAtOnce = 2000

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
  federation: Federation,
  room: HotRoom,
  eventIds: readonly EventId[],
  { placed = false } = {},
): Promise<ReadonlySet<EventId>> {
  const stored = new Set<EventId>()
  for await (const rows of numbersOf(federation, eventIds)) {
    for (const row of rows) {
      const counts = row.room === room.room && !(placed && (row.flags & EventFlags.outlier) !== 0)
      if (counts) stored.add(eventIdText(row.event_id, room.rules.eventFormat))
    }
  }
  return stored
}

/** What is stored of some events, a part of them at a time: there may be as many as a large room has members. */
export async function* numbersOf(
  { ctx }: Pick<Federation, 'ctx'>,
  eventIds: readonly EventId[],
): AsyncGenerator<EventNumberRow[]> {
  for (let start = 0; start < eventIds.length; start += lookedForAtOnce) {
    const ids = eventIds.slice(start, start + lookedForAtOnce)
    yield await ctx.database.read(eventNumbers, [ids.map(eventIdBytes)])
  }
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
