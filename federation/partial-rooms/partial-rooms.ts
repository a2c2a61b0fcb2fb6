import type { EventId, ServerName } from '../../src/matrix/ids.ts'
import { completeRoom } from '../../src/rooms/complete-room.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { localMember } from '../../src/rooms/remote-memberships.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import { eventIdBytes, eventIdText } from '../../src/storage/event-codec.ts'
import type { StoredEvent } from '../../src/storage/events.ts'
import { abandonPartialRoom, type PartialRoomRow, partialRooms } from '../../src/storage/partial-rooms.ts'
import { createDurableWork, type DurableWork } from '../durable-work.ts'
import type { Federation } from '../federation.ts'
import { fetchState, numbersOf } from '../remote/fetch-state.ts'
import { eventsById } from '../remote/history.ts'

const mostServers = 10

/** Fetches the members of rooms that were joined without them. */
export function createPartialRooms(federation: Federation): DurableWork {
  const { ctx } = federation
  return createDurableWork<PartialRoomRow>(ctx, {
    name: 'rooms without members',
    heard: 'partial-rooms',
    failure: 'The members of a room could not be fetched yet',
    due: () => ctx.database.read(partialRooms, []),
    keyOf: ({ room }) => room,
    run: (row) => completeFromOthers(federation, row),
  })
}

async function completeFromOthers(federation: Federation, row: PartialRoomRow): Promise<void> {
  const { ctx, allowList } = federation
  const [join] = await ctx.events.byIds([row.join_event], { edges: true })
  // The join is still on its way, or failed: then the next one begins anew.
  const timeline = join?.timeline
  if (!join || timeline == null) return
  const room = await ctx.hotRooms.getByNid(row.room)
  if (!room) return
  if ((await localMember(ctx, room)) === undefined) {
    await ctx.database.read(abandonPartialRoom, [row.room, ctx.clock.now()])
    ctx.hotRooms.drop(room)
    ctx.invalidations.publish('room', row.room_id)
    return
  }
  const servers = [row.told_by, ...row.servers].filter(
    (name) => !ctx.domains.isLocal(name) && allowList.allows(name, 'members'),
  )
  for (const server of [...new Set(servers)].slice(0, mostServers)) {
    const state = await stateBeforeJoin(federation, server, room, join)
    if (state) return completeRoom(ctx, room, state, { stored: { ...join, timeline }, returned: row.returned })
  }
  throw new Error('No server told the state')
}

/** Servers know what they had before us: the state before the one event we follow, and that event; else that before the join. */
async function stateBeforeJoin(
  federation: Federation,
  server: ServerName,
  room: HotRoom,
  join: StoredEvent,
): Promise<readonly EventId[] | undefined> {
  const [previous, ...others] = join.event.prevEvents
  if (previous === undefined || others.length > 0)
    return fetchState(federation, server, room, join.event.eventId, { idsFirst: true })
  const state = await fetchState(federation, server, room, previous, { idsFirst: true })
  if (!state) return undefined
  const [before] = await federation.ctx.events.byIds([previous])
  const [event] = before ? [before.event] : await eventsById(federation, server, room, [previous])
  if (event?.pdu.state_key === undefined) return state
  if (!before) await storeOutliers(federation.ctx, room.roomId, [event])
  const replaced = await replacedBy(federation, room, event.eventId, state)
  return [...state.filter((eventId) => eventId !== replaced), event.eventId]
}

/** The event of a state that another one takes the place of. */
async function replacedBy(
  federation: Federation,
  room: HotRoom,
  eventId: EventId,
  state: readonly EventId[],
): Promise<EventId | undefined> {
  const own = eventIdBytes(eventId)
  let kind: number | undefined
  for await (const rows of numbersOf(federation, [eventId, ...state])) {
    kind ??= rows.find((row) => row.event_id.equals(own))?.kind
    const replaced = rows.find((row) => row.kind === kind && !row.event_id.equals(own))
    if (replaced) return eventIdText(replaced.event_id, room.rules.eventFormat)
  }
  return undefined
}
