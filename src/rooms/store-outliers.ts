import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { createEventIdOf, type RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { eventIdBytes, eventIdText } from '../storage/event-codec.ts'
import { eventNumbers } from '../storage/event-graph.ts'
import { EventFlags } from '../storage/events.ts'
import type { AcceptEngine } from './accept-event.ts'
import { checkCitedAuth, isStorable } from './check-arrival.ts'
import { newRef, uncounted } from './decide-event.ts'
import type { EventRef, HotRoom } from './hot-room.ts'
import { refOf } from './hot-rooms.ts'
import { type Placement, place } from './place-event.ts'
import { writeOnce } from './write-room.ts'

const attempts = 20
/** Events of one unit of work. */
const eventsAtOnce = 500

/** Why events were not stored, by event id. */
export type RefusedEvents = ReadonlyMap<EventId, string>

/**
 * Stores events that others name, without a place in the room: the auth chains and states that come with a join or are
 * fetched for an event. They are checked against their auth events, which must be among them or stored; who fails is
 * stored as rejected, and what it allowed with it.
 *
 * @returns those that cannot be judged or stored, and so are not here.
 * @throws MatrixError M_NOT_FOUND for a room that is not known here.
 */
export async function storeOutliers(
  ctx: AcceptEngine,
  roomId: RoomId,
  events: readonly RoomEvent[],
): Promise<RefusedEvents> {
  const sorted = byAuthEdges(events)
  for (let attempt = 0; attempt < attempts; attempt++) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    const release = await room.hold()
    try {
      const refused = room.failed ? undefined : await storeInto(ctx, room, sorted)
      if (refused) return refused
    } finally {
      release()
    }
    ctx.hotRooms.drop(room)
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

/** Each after those it cites, as far as they are given. */
export function byAuthEdges(events: readonly RoomEvent[]): readonly RoomEvent[] {
  // From room version 12 on the create event comes first though nobody cites it; before, no event has such an id.
  return inOrder(events, (event) => [createEventIdOf(event.roomId), ...event.authEvents])
}

/** Each event once, after those of the others that `before` names for it; otherwise in the order given. */
export function inOrder(
  events: readonly RoomEvent[],
  before: (event: RoomEvent) => readonly EventId[],
): readonly RoomEvent[] {
  const given = new Map(events.map((event) => [event.eventId, event]))
  const state = new Map<EventId, 'open' | 'done'>()
  const sorted: RoomEvent[] = []
  for (const start of given.values()) {
    const stack = [start]
    for (let event = stack.at(-1); event !== undefined; event = stack.at(-1)) {
      const known = state.get(event.eventId)
      if (known === undefined) {
        state.set(event.eventId, 'open')
        for (const eventId of before(event)) {
          const earlier = given.get(eventId)
          if (earlier && !state.has(eventId)) stack.push(earlier)
        }
        continue
      }
      stack.pop()
      if (known === 'done') continue
      state.set(event.eventId, 'done')
      sorted.push(event)
    }
  }
  return sorted
}

type Judged = { readonly event: RoomEvent; readonly rejected: boolean; readonly ref: EventRef }

/** Undefined when the room moved on. */
async function storeInto(
  ctx: AcceptEngine,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<RefusedEvents | undefined> {
  const judged = await loadNamed(ctx, room, events)
  const refused = new Map<EventId, string>()
  const writing: Promise<unknown>[] = []
  for (let start = 0; start < events.length; start += eventsAtOnce) {
    const chunk = events.slice(start, start + eventsAtOnce)
    const placements = await judgeChunk(ctx, room, chunk, judged, refused)
    if (room.failed) break
    const placeAll = () => placements.map((placement) => place(room, { ...placement, extremities: room.extremities }))
    const written = writeOnce(ctx, room, { append: placeAll })
    written.catch(() => {})
    writing.push(written)
  }
  const outcomes = await Promise.all(writing)
  return room.failed || outcomes.includes(undefined) ? undefined : refused
}

/** What is stored of the events given and of those that they cite. */
async function loadNamed(
  ctx: Pick<Context, 'database' | 'events'>,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<Map<EventId, Judged>> {
  const given = new Map(events.map((event) => [event.eventId, event]))
  const cited = new Set(events.flatMap(({ authEvents }) => authEvents))
  if (room.rules.createEventIsRoomId) cited.add(createEventIdOf(room.roomId))
  const elsewhere = [...cited].filter((eventId) => !given.has(eventId))
  const [known, stored] = await Promise.all([
    ctx.database.read(eventNumbers, [[...given.keys()].map(eventIdBytes)]),
    ctx.events.byIds(elsewhere),
  ])
  const judged = new Map<EventId, Judged>()
  for (const { event_id: bytes, event_nid: nid, kind, flags } of known) {
    const event = given.get(eventIdText(bytes, room.rules.eventFormat))!
    const rejected = (flags & EventFlags.rejected) !== 0
    judged.set(event.eventId, { event, rejected, ref: { nid, kind, senderNid: 0, event } })
  }
  for (const one of stored) {
    const rejected = (one.flags & EventFlags.rejected) !== 0
    judged.set(one.event.eventId, { event: one.event, rejected, ref: refOf(one) })
  }
  return judged
}

async function judgeChunk(
  ctx: AcceptEngine,
  room: HotRoom,
  chunk: readonly RoomEvent[],
  judged: Map<EventId, Judged>,
  refused: Map<EventId, string>,
): Promise<Omit<Placement, 'extremities'>[]> {
  const fresh = chunk.filter((event) => !judged.has(event.eventId))
  const storable = fresh.filter((event) => event.roomId === room.roomId && isStorable(event))
  for (const event of fresh) {
    if (!storable.includes(event)) refused.set(event.eventId, 'The event is of another room, or cannot be stored')
  }
  await Promise.all([
    ctx.dictionaries.internKinds(storable.map(({ pdu }) => ({ type: pdu.type, stateKey: pdu.state_key }))),
    ctx.dictionaries.internUsers(storable.map(({ pdu }) => pdu.sender)),
  ])
  const placements: Omit<Placement, 'extremities'>[] = []
  const { rules, roomId } = room
  for (const event of storable) {
    const auth = event.authEvents.map((eventId) => judged.get(eventId))
    const create = rules.createEventIsRoomId ? judged.get(createEventIdOf(roomId))?.event : undefined
    if (auth.includes(undefined)) {
      refused.set(event.eventId, 'An auth event is missing')
      continue
    }
    const cited = auth.map((one) => one!)
    const rejected = !checkCitedAuth(event, cited, create, rules).allowed
    const ref = newRef(ctx, event)
    judged.set(event.eventId, { event, rejected, ref })
    placements.push({
      ref,
      flags:
        EventFlags.outlier |
        (rejected ? EventFlags.rejected : 0) |
        (event.pdu.state_key === undefined ? 0 : EventFlags.state),
      timeline: false,
      prev: event.prevEvents.map((eventId) => judged.get(eventId)?.ref),
      auth: cited.map((one) => one.ref),
      stateDelta: null,
      changes: [],
      unread: uncounted,
      redacts: undefined,
    })
  }
  return placements
}
