import type { Context } from '../../context.ts'
import type { RoomId } from '../../matrix/ids.ts'
import { removalsOf } from '../../storage/sliding-sync.ts'
import type { Session, UserRoom } from '../sessions.ts'
import type { RoomActivity } from './room-activity.ts'

/** What a connection was told of rooms, and the position up to which where none is said. */
export type Told = {
  readonly rooms: ReadonlyMap<number, { readonly upTo: number | undefined }>
  readonly position: number | undefined
}

/** A user's rooms by recent activity, the newest first. */
export type RoomList = {
  /** The rooms of lists on a connection that was told of some. The same array as long as nothing changes. */
  shownTo(told: Told): readonly UserRoom[]
  isShown(userRoom: UserRoom, told: Told): boolean
  room(roomId: RoomId): UserRoom | undefined
  readonly change: ListChange | undefined
}

type Kept = {
  order: readonly number[]
  /** Of `order`: the rooms of every list, and those that the user left. */
  current: readonly UserRoom[]
  left: readonly UserRoom[]
  /** What the last event did to `current`. */
  change: ListChange | undefined
  at: number
  readonly byId: Map<string, number>
  /** By the number of the event that ended a membership. */
  readonly removals: Map<number, boolean>
}

/** Rooms of a list that went to its front, and the list as it was before and as it is now. */
export type ListChange = {
  readonly from: readonly UserRoom[]
  readonly to: readonly UserRoom[]
  readonly front: readonly UserRoom[]
  readonly moved: ReadonlySet<number>
}

const bySession = new WeakMap<Session, Kept>()

/**
 * The list of a user. Read once per session, two statements; then a room that something happened in moves to the front.
 *
 * Spec: MSC4186, "Activity ordering": by the last event of a room that the user is in, else by the change of membership.
 */
export async function roomListOf(
  ctx: Pick<Context, 'database' | 'stream'>,
  activity: RoomActivity,
  session: Session,
): Promise<RoomList> {
  const at = ctx.stream.position
  const kept = keptOf(session)
  const isFollowed = kept.order.length > 0 && activity.since(kept.at) !== undefined
  await Promise.all([isFollowed ? undefined : activity.load(joinedRooms(session)), loadRemovals(ctx, session)])
  const moved = isFollowed ? activity.since(kept.at) : undefined
  if (!moved || !moveToFront(kept, session, activity, moved)) sortAll(kept, session, activity)
  kept.at = at
  for (const { roomId, room } of session.rooms.values()) {
    if (kept.byId.size === session.rooms.size) break
    kept.byId.set(roomId, room)
  }
  return {
    shownTo(told) {
      const left = kept.left.filter((userRoom) => isLeftShown(userRoom, told))
      if (left.length === 0) return kept.current
      const shown = new Set([...kept.current, ...left])
      return kept.order.map((room) => session.rooms.get(room)!).filter((userRoom) => shown.has(userRoom))
    },
    isShown: (userRoom, told) => isCurrent(userRoom, kept) || isLeftShown(userRoom, told),
    room(roomId) {
      const room = kept.byId.get(roomId)
      return room === undefined ? undefined : session.rooms.get(room)
    },
    change: kept.change,
  }
}

/** Spec: MSC4186, "Lists": rooms that the user left are in it only where the client was told of them. */
function isCurrent({ membership, forgotten, eventNid }: UserRoom, { removals }: Kept): boolean {
  if (forgotten) return false
  return (membership !== 'leave' && membership !== 'ban') || (removals.get(eventNid) ?? false)
}

function keptOf(session: Session): Kept {
  let kept = bySession.get(session)
  if (!kept)
    bySession.set(
      session,
      (kept = { order: [], current: [], left: [], change: undefined, at: -1, byId: new Map(), removals: new Map() }),
    )
  return kept
}

function joinedRooms(session: Session): number[] {
  return [...session.rooms.values()].flatMap(({ room, membership }) => (membership === 'join' ? [room] : []))
}

async function loadRemovals(ctx: Pick<Context, 'database'>, session: Session): Promise<void> {
  const { removals } = keptOf(session)
  const left: UserRoom[] = []
  for (const userRoom of session.rooms.values()) {
    const { membership, forgotten, eventNid } = userRoom
    if ((membership === 'leave' || membership === 'ban') && !forgotten && !removals.has(eventNid)) left.push(userRoom)
  }
  if (left.length === 0) return
  const nids = left.map(({ eventNid }) => eventNid)
  const values = [session.userNid, session.userId, left.map(({ room }) => room), nids]
  const [row] = await ctx.database.read(removalsOf, values)
  const found = new Set(row!.removals)
  for (const nid of nids) removals.set(nid, found.has(nid))
}

/** A room that was forgotten is told of until the leaving is. */
function isLeftShown({ room, forgotten, since }: UserRoom, { rooms, position }: Told): boolean {
  const told = rooms.get(room)
  return told !== undefined && (!forgotten || since > (told.upTo ?? position ?? 0))
}

function sortAll(kept: Kept, session: Session, activity: RoomActivity): void {
  kept.order = sorted(session, activity, session.rooms.keys())
  const rooms = kept.order.map((room) => session.rooms.get(room)!)
  kept.current = rooms.filter((userRoom) => isCurrent(userRoom, kept))
  kept.left = rooms.filter((userRoom) => !isCurrent(userRoom, kept))
  kept.change = undefined
}

/**
 * Rooms in which nothing happened keep their order among themselves, and those in which something did are in front.
 *
 * @returns false when that does not account for all rooms.
 */
function moveToFront(kept: Kept, session: Session, activity: RoomActivity, moved: ReadonlySet<number>): boolean {
  const own = [...moved].filter((room) => session.rooms.has(room))
  if (own.length === 0) return kept.order.length === session.rooms.size
  const first = sorted(session, activity, own)
  const order = [...first, ...kept.order.filter((room) => !moved.has(room))]
  if (order.length !== session.rooms.size) return false
  const rooms = first.map((room) => session.rooms.get(room)!)
  const front = rooms.filter((userRoom) => isCurrent(userRoom, kept))
  const behind = rooms.filter((userRoom) => !isCurrent(userRoom, kept))
  const stays = ({ room }: UserRoom): boolean => !moved.has(room)
  const to = [...front, ...kept.current.filter(stays)]
  kept.change = { from: kept.current, to, front, moved }
  kept.order = order
  kept.current = to
  kept.left = [...behind, ...kept.left.filter(stays)]
  return true
}

function sorted(session: Session, activity: RoomActivity, rooms: Iterable<number>): number[] {
  const placed = [...rooms].map((room) => {
    const { membership, since } = session.rooms.get(room)!
    return { room, at: membership === 'join' ? Math.max(activity.of(room), since) : since }
  })
  return placed.sort((one, other) => other.at - one.at || other.room - one.room).map(({ room }) => room)
}
