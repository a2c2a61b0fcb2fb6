import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { roomRules } from '../matrix/room-versions.ts'
import { type StateMap, stateKeyOf } from '../matrix/state-res/state-map.ts'
import { acceptEvent } from '../rooms/accept-event.ts'
import { type RoomState, wholeState } from '../rooms/state-at.ts'
import type { StoredEvent } from '../storage/events.ts'
import { EventGraph } from './event-graph.ts'

/** The graph of a room as the database has it, to be continued by hand. */
export async function graphOf(ctx: Context, roomId: RoomId): Promise<EventGraph> {
  const row = await ctx.database.db.selectFrom('rooms').selectAll().where('room_id', '=', roomId).executeTakeFirst()
  const { room, room_version: version } = row!
  const graph = new EventGraph(roomRules(version)!, roomId)
  const nids = await ctx.database.db.selectFrom('events').select('event_nid').where('room', '=', room).execute()
  const events = await ctx.events.byNids(
    nids.map((one) => one.event_nid),
    { edges: true },
  )
  for (const { event } of events.sort((one, other) => one.nid - other.nid)) graph.add(event)
  return graph
}

/**
 * An event that goes on from a graph, and comes in.
 *
 * @throws Error when it is not accepted.
 */
export async function arrive(
  ctx: Context,
  graph: EventGraph,
  outline: Parameters<EventGraph['build']>[0],
): Promise<RoomEvent> {
  const event = graph.append(outline)
  const acceptance = await acceptEvent(ctx, event)
  if (acceptance.outcome !== 'accepted') throw new Error(JSON.stringify(acceptance))
  return event
}

export async function storedEvent(ctx: Context, eventId: EventId): Promise<StoredEvent> {
  const [stored] = await ctx.events.byIds([eventId], { edges: true })
  return stored!
}

/** The current resolved state, read from the database. */
export async function storedCurrentState(ctx: Context, roomId: RoomId): Promise<StateMap> {
  const room = (await ctx.hotRooms.get(roomId))!
  const entries = await ctx.events.currentState(room.room)
  return mapOf(entries.map(({ stored }) => stored))
}

/** All of a state on a fork, or undefined where it is not known. */
export async function storedState(ctx: Context, roomId: RoomId, state: RoomState): Promise<StateMap | undefined> {
  const room = (await ctx.hotRooms.get(roomId))!
  const whole = await wholeState(ctx, room, state)
  return whole.known ? mapOf(await ctx.events.byNids([...whole.value.values()])) : undefined
}

function mapOf(events: readonly StoredEvent[]): StateMap {
  return new Map(events.map(({ event }) => [stateKeyOf(event.pdu.type, event.pdu.state_key!), event.eventId]))
}

/** In an order that does not depend on how the map was made. */
export function sorted(state: StateMap | undefined): [string, EventId][] | undefined {
  return state && [...state].sort(([one], [other]) => (one < other ? -1 : 1))
}
