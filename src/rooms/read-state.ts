import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type StoredEvent, storedState } from '../storage/events.ts'
import { clientEvent } from './client-event.ts'
import { describeEvents, type Reader } from './describe-events.ts'
import type { StateTuple } from './hot-rooms.ts'
import { isJoined, viewRoom } from './room-access.ts'
import { wholeRoom } from './whole-room.ts'

type Engine = Parameters<typeof describeEvents>[0] & Pick<Context, 'database' | 'hotRooms' | 'events' | 'dictionaries'>
/** For what may have to wait. */
type WaitingEngine = Engine & Pick<Context, 'closing'>

/**
 * The state of a room as client events: the current one, or for who has left the one at the leaving.
 *
 * @throws MatrixError M_FORBIDDEN
 */
export async function readState(ctx: WaitingEngine, roomId: RoomId, reader: Reader): Promise<string[]> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  await wholeRoom(ctx, view.room)
  const { room } = view.room
  const events =
    view.stateAt === undefined
      ? (await ctx.events.currentState(room)).map(({ stored }) => stored)
      : await ctx.events.stateAt(room, view.stateAt)
  return describeState(ctx, reader, events)
}

/** State events are shown as they are, without what they replaced or what relates to them. */
export function describeState(ctx: Engine, reader: Reader, events: readonly StoredEvent[]): Promise<string[]> {
  return describeEvents(ctx, reader, events, {
    replaced: new Map(events.map((event) => [event.nid, undefined])),
    unrelated: () => true,
    roomIds: true,
  })
}

/**
 * One entry of a room's state: its content or the whole event. A member's look at a warm room costs no statement.
 *
 * @returns undefined when there is no such entry.
 * @throws MatrixError M_FORBIDDEN
 */
export async function readStateEntry(
  ctx: WaitingEngine,
  roomId: RoomId,
  reader: Reader,
  [type, stateKey]: StateTuple,
  format: 'content' | 'event',
): Promise<JsonObject | undefined> {
  const stored = await findEntry(ctx, roomId, reader, [type, stateKey])
  if (!stored) return undefined
  return format === 'content' ? stored.event.pdu.content : clientEvent(stored, { now: ctx.clock.now(), roomId })
}

async function findEntry(
  ctx: WaitingEngine,
  roomId: RoomId,
  reader: Reader,
  [type, stateKey]: StateTuple,
): Promise<StoredEvent | undefined> {
  let room = await ctx.hotRooms.get(roomId)
  if (room && (await isJoined(ctx, room, reader.userId))) {
    await ctx.hotRooms.load(room, [[type, stateKey]])
    if (room.partialState && type === 'm.room.member' && !room.entry(type, stateKey)) {
      await wholeRoom(ctx, room)
      room = (await ctx.hotRooms.get(roomId)) ?? room
    }
    await ctx.hotRooms.load(room, [[type, stateKey]])
    const entry = room.entry(type, stateKey)
    // An absence in memory may be out of date: another process may have set it a moment ago.
    if (entry || (await ctx.hotRooms.isCurrent(room))) return entry && storedState(room.room, entry.ref)
    ctx.hotRooms.drop(room)
  }
  const view = await viewRoom(ctx, roomId, reader.userId)
  const kinds = await ctx.dictionaries.findKinds([{ type, stateKey }])
  const position = view.stateAt ?? Number.MAX_SAFE_INTEGER
  const [stored] = await ctx.events.stateAt(view.room.room, position, [...kinds.values()])
  return stored
}

/** @throws MatrixError M_FORBIDDEN for who is not in the room now. */
export function refuseUnlessJoined(membership: string | undefined): void {
  if (membership !== 'join') throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
}
