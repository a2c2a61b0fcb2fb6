import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, ServerName } from '../../src/matrix/ids.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { domainIn } from '../../src/rooms/remote-memberships.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import type { Federation } from '../federation.ts'

/** Room for a state of many thousand members. */
const mostStateBytes = 512 * 1024 * 1024

/**
 * Has a server tell the state before an event with its auth chain, and stores both as they come: some are checked while those
 * before them are stored, and no more is in memory at a time.
 *
 * @returns the ids of the state; undefined when the server does not say.
 *
 * Spec: Server-Server API, `GET /_matrix/federation/v1/state/{roomId}` (v1.19).
 */
export async function storeToldState(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  eventId: EventId,
): Promise<readonly EventId[] | undefined> {
  const { ctx, client, checks } = federation
  const { roomId, rules } = room
  const state: EventId[] = []
  /** Those that came before what they cite. */
  const waiting = new Map<EventId, RoomEvent>()
  const store = async (events: readonly RoomEvent[]): Promise<void> => {
    const refused = await storeOutliers(ctx, roomId, events)
    for (const event of events) if (refused.has(event.eventId)) waiting.set(event.eventId, event)
  }
  let storing: Promise<void> = Promise.resolve()
  try {
    const path = `/_matrix/federation/v1/state/${encodeURIComponent(roomId)}`
    const request = {
      method: 'GET',
      uri: `${path}?event_id=${encodeURIComponent(eventId)}`,
      origin: await domainIn(ctx, room),
      maxBytes: mostStateBytes,
    } as const
    await client.sendForLists(server, request, {
      lists: ['pdus', 'auth_chain'],
      async take(elements) {
        const texts = elements.map(({ bytes }) => bytes)
        const checked = await checks.check(roomId, rules, texts)
        for (const { index, event } of checked) {
          if (elements[index]!.list === 'pdus' && event.pdu.state_key !== undefined) state.push(event.eventId)
        }
        await storing
        storing = store(checked.map(({ event }) => event))
        // It is waited for with the next ones.
        storing.catch(() => {})
      },
    })
    await storing
  } catch (error) {
    await storing.catch(() => {})
    ctx.log.debug({ server, error: (error as Error).message }, 'Another server did not tell the state')
    return undefined
  }
  if (waiting.size > 0) await storeOutliers(ctx, roomId, [...waiting.values()])
  return state
}
