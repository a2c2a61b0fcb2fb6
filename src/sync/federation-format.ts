import type { Context } from '../context.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { describeRooms } from './describe-rooms.ts'
import type { States } from './room-states.ts'
import type { RoomTimeline } from './room-timelines.ts'

type Described = Awaited<ReturnType<typeof describeRooms>>

/**
 * The events of an answer as servers send them to one another, with their ids, which later room versions leave out, and with what
 * the reader is told of them in `unsigned`. One statement.
 *
 * Spec: Client-Server API, "Filtering", `event_format`: "'federation' will return the raw event as received over federation."
 */
export async function inFederationFormat(
  ctx: Pick<Context, 'events'>,
  described: Described,
  timelines: readonly RoomTimeline[],
  states: States,
): Promise<Described> {
  const events = new Map(timelines.map(({ plan, events }) => [plan.userRoom.room, events]))
  const all = [...events.values(), ...states.byRoom.values()].flat()
  const whole = new Map(
    (
      await ctx.events.byNids(
        all.map(({ nid }) => nid),
        { edges: true },
      )
    ).map((one) => [one.nid, one]),
  )
  const raw = (text: string, stored: StoredEvent | undefined): string => {
    const { unsigned } = JSON.parse(text) as JsonObject
    const { pdu, eventId } = whole.get(stored!.nid)!.event
    return JSON.stringify({ ...pdu, event_id: eventId, ...(unsigned !== undefined && { unsigned }) })
  }
  const inFormat = (texts: Described['timeline'], of: ReadonlyMap<number, readonly StoredEvent[]>) =>
    new Map([...texts].map(([room, list]) => [room, list.map((text, index) => raw(text, of.get(room)?.[index]))]))
  return { timeline: inFormat(described.timeline, events), state: inFormat(described.state, states.byRoom) }
}
