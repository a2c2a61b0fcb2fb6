import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { Membership } from '../storage/room-users.ts'
import { loadViewerHistory, type ViewerHistory, valueAt } from './history-visibility.ts'
import type { HotRoom } from './hot-room.ts'
import { visibleEvents } from './visible-events.ts'

/** Up to where somebody may look into a room. */
export type RoomView = {
  readonly room: HotRoom
  readonly history: ViewerHistory
  /** The membership now; undefined for who never had one. */
  readonly membership: Membership | undefined
  /** The state is shown as of this position; undefined: the current one. */
  readonly stateAt: number | undefined
}

type Engine = Pick<Context, 'database' | 'hotRooms' | 'events' | 'dictionaries'>

const forbidden = (): MatrixError => new MatrixError('M_FORBIDDEN', 'You are not in this room')

const isForgotten = statement<{ one: number }>(
  'forgotten room',
  `select 1 as one from room_users where room = $1 and forgotten
   and user_nid = (select user_nid from users where user_id = $2)`,
)

/**
 * What a user may see of a room: as a member everything of now, as a former member who has not forgotten it what it was at
 * the leaving, as anybody where the history is world-readable.
 *
 * @throws MatrixError M_FORBIDDEN for everybody else, and for a room that does not exist: whether it does is not told.
 */
export async function viewRoom(ctx: Engine, roomId: RoomId, userId: UserId): Promise<RoomView> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw forbidden()
  const history = await loadViewerHistory(ctx, room.room, userId)
  const last = history.memberships.at(-1)
  const membership = last?.value
  if (membership === 'join') return { room, history, membership, stateAt: undefined }
  if (history.visibilities.at(-1)?.value === 'world_readable') return { room, history, membership, stateAt: undefined }
  const lastJoin = history.memberships.findLast(({ value }) => value === 'join')
  if (!lastJoin || (membership !== 'leave' && membership !== 'ban')) throw forbidden()
  const [row] = await ctx.database.read(isForgotten, [room.room, userId])
  if (row) throw forbidden()
  return { room, history, membership, stateAt: lastJoin.to! }
}

/** Whether a user is joined, from memory when the room is warm. */
export async function isJoined(ctx: Pick<Context, 'hotRooms'>, room: HotRoom, userId: UserId): Promise<boolean> {
  await ctx.hotRooms.load(room, [['m.room.member', userId]])
  return room.get('m.room.member', userId)?.pdu.content.membership === 'join'
}

/** The same, with the benefit of the doubt in a room whose members are not all known yet. */
export async function mayBeJoined(ctx: Pick<Context, 'hotRooms'>, room: HotRoom, userId: UserId): Promise<boolean> {
  return (await isJoined(ctx, room, userId)) || (room.partialState && !room.entry('m.room.member', userId))
}

/**
 * The room, for one of its joined members.
 *
 * @throws MatrixError M_FORBIDDEN
 */
export async function joinedRoom(ctx: Pick<Context, 'hotRooms'>, roomId: RoomId, userId: UserId): Promise<HotRoom> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw forbidden()
  if (await isJoined(ctx, room, userId)) return room
  // Another process may have let the user in a moment ago.
  if (await ctx.hotRooms.isCurrent(room)) throw forbidden()
  ctx.hotRooms.drop(room)
  const fresh = await ctx.hotRooms.get(roomId)
  if (!fresh || !(await isJoined(ctx, fresh, userId))) throw forbidden()
  return fresh
}

/**
 * An event in a room that a user may see. What is not there, is elsewhere or is hidden are one and the same answer.
 *
 * @throws MatrixError M_NOT_FOUND; M_FORBIDDEN for who may not look into the room at all.
 */
export async function visibleEvent(
  ctx: Engine & Pick<Context, 'database'>,
  roomId: RoomId,
  eventId: EventId,
  userId: UserId,
): Promise<{ view: RoomView; stored: StoredEvent }> {
  const view = await viewRoom(ctx, roomId, userId)
  const [stored] = await ctx.events.byIds([eventId])
  const isHere = stored !== undefined && stored.room === view.room.room
  const [visible] = isHere ? await eventsSeen(ctx, view, userId, [stored]) : []
  if (!visible) throw new MatrixError('M_NOT_FOUND', 'Event not found')
  return { view, stored: visible }
}

/**
 * The events of a room that a user may see, in their order: by the state at each, and their own memberships always. The
 * number of statements is that of `visibleEvents`.
 */
export async function eventsSeen(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'events'>,
  view: RoomView,
  userId: UserId,
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  const visible = new Set(await visibleEvents(ctx, view.history, userId, events))
  return events.filter((event) => visible.has(event) || (event.timeline !== null && isOwnMembership(event, userId)))
}

export function isOwnMembership(stored: StoredEvent, userId: UserId): boolean {
  return stored.event.pdu.type === 'm.room.member' && stored.event.pdu.state_key === userId
}

/** The membership at a position of the timeline. */
export function membershipAt(view: RoomView, position: number): Membership {
  return valueAt(view.history.memberships, position) ?? 'leave'
}
