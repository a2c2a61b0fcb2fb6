import type { EventId, ServerName } from '../../src/matrix/ids.ts'
import { createAlarm } from '../../src/pause.ts'
import { completeRoom } from '../../src/rooms/complete-room.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { localMember } from '../../src/rooms/remote-memberships.ts'
import { storeOutliers } from '../../src/rooms/store-outliers.ts'
import { eventIdBytes, eventIdText } from '../../src/storage/event-codec.ts'
import { eventNumbers } from '../../src/storage/event-graph.ts'
import type { StoredEvent } from '../../src/storage/events.ts'
import { abandonPartialRoom, type PartialRoomRow, partialRooms } from '../../src/storage/partial-rooms.ts'
import type { Federation } from '../federation.ts'
import { fetchState } from '../remote/fetch-state.ts'
import { eventsById } from '../remote/history.ts'

/**
 * Fetches the members of rooms that were joined without them. What is to be done is in the database, so that it goes on after
 * a crash; one process of the deployment does it.
 */
export type PartialRooms = {
  /** Resolves once what was under way has ended. */
  close(): Promise<void>
}

/** Rooms that are worked on at a time. */
const roomsAtOnce = 10
/** Milliseconds between two looks when nothing is heard. */
const pause = 2_000
/** Milliseconds before a room is tried again that could not be completed: twice as long each time. */
const firstPatience = 1_000
const longestPatience = 10 * 60_000
const mostServers = 10

export function createPartialRooms(federation: Federation): PartialRooms {
  const { ctx } = federation
  const stop = new AbortController()
  let running: Promise<void> = Promise.resolve()
  const alarm = createAlarm()
  ctx.invalidations.subscribe('partial-rooms', () => alarm.ring())

  /** When rooms that could not be completed are tried again. */
  const later = new Map<number, { at: number; patience: number }>()

  const tryRoom = async (row: PartialRoomRow): Promise<void> => {
    try {
      await completeFromOthers(federation, row)
      later.delete(row.room)
    } catch (error) {
      const patience = Math.min(longestPatience, 2 * (later.get(row.room)?.patience ?? firstPatience / 2))
      later.set(row.room, { at: ctx.clock.monotonic() + patience, patience })
      ctx.log.warn({ err: error, roomId: row.room_id }, 'The members of a room could not be fetched yet')
    }
  }

  const run = async (lost: AbortSignal): Promise<void> => {
    const ended = AbortSignal.any([lost, stop.signal])
    const underWay = new Map<number, Promise<void>>()
    while (!ended.aborted) {
      const rows = await ctx.database.read(partialRooms, []).catch(() => [])
      for (const row of rows) {
        const isLater = (later.get(row.room)?.at ?? 0) > ctx.clock.monotonic()
        if (underWay.size >= roomsAtOnce || underWay.has(row.room) || isLater) continue
        const work = tryRoom(row).finally(() => {
          underWay.delete(row.room)
          // Others may wait for their turn; one that failed waits for the next look.
          if (rows.length > roomsAtOnce) alarm.ring()
        })
        underWay.set(row.room, work)
      }
      await alarm.rest(pause, ended)
    }
    await Promise.all(underWay.values())
  }

  ctx.ownership.claim('rooms without members', (lost) => {
    running = running.then(() => run(lost))
  })
  return {
    async close() {
      stop.abort()
      await running
    },
  }
}

async function completeFromOthers(federation: Federation, row: PartialRoomRow): Promise<void> {
  const { ctx, allowList } = federation
  const [join] = await ctx.events.byIds([row.join_event], { edges: true })
  // The join is still on its way, or failed: then the next one begins anew.
  if (!join || join.timeline === null) return
  const room = await ctx.hotRooms.getByNid(row.room)
  if (!room) return
  if ((await localMember(ctx, room)) === undefined) {
    await ctx.database.read(abandonPartialRoom, [row.room])
    ctx.hotRooms.drop(room)
    ctx.invalidations.publish('room', row.room_id)
    return
  }
  const servers = [row.told_by, ...row.servers].filter(
    (name) => !ctx.domains.isLocal(name) && allowList.allows(name, 'members'),
  )
  for (const server of [...new Set(servers)].slice(0, mostServers)) {
    const state = await stateBeforeJoin(federation, server, room, join)
    if (state) return completeRoom(ctx, room, state, join.timeline)
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
  const own = eventIdBytes(event.eventId)
  const rows = await federation.ctx.database.read(eventNumbers, [[own, ...state.map(eventIdBytes)]])
  const kind = rows.find((row) => row.event_id.equals(own))?.kind
  const replaced = rows.find((row) => row.kind === kind && !row.event_id.equals(own))
  const replacedId = replaced && eventIdText(replaced.event_id, room.rules.eventFormat)
  return [...state.filter((eventId) => eventId !== replacedId), event.eventId]
}
