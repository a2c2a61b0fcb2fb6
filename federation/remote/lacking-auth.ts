import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, ServerName } from '../../src/matrix/ids.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import type { Federation } from '../federation.ts'
import { storedOf } from './fetch-state.ts'
import { eventAuth, eventsById } from './history.ts'

/** Events that are asked for one by one for one lot of history. */
const mostSingleEvents = 50

/** Fetches what events of the past cite to be allowed and is neither here nor among them. What cannot be had is left out. */
export async function storeLackingAuth(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<void> {
  const { ctx } = federation
  const lacking = await lackingOf(federation, room, events)
  const citing = events.find(({ authEvents }) => authEvents.some((eventId) => lacking.has(eventId)))
  if (!citing) return
  // Most cite the same few.
  await storeOutliers(ctx, room.roomId, await eventAuth(federation, server, room, citing.eventId))
  const rest = [...(await lackingOf(federation, room, events))].slice(0, mostSingleEvents)
  if (rest.length > 0) await storeOutliers(ctx, room.roomId, await eventsById(federation, server, room, rest))
}

async function lackingOf(
  federation: Federation,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<ReadonlySet<EventId>> {
  const given = new Set(events.map(({ eventId }) => eventId))
  const cited = [...new Set(events.flatMap(({ authEvents }) => authEvents))].filter((eventId) => !given.has(eventId))
  const stored = await storedOf(federation, room, cited)
  return new Set(cited.filter((eventId) => !stored.has(eventId)))
}
