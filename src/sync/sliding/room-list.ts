import type { Context } from '../../context.ts'
import type { RoomId } from '../../matrix/ids.ts'
import { removalsOf } from '../../storage/sliding-sync.ts'
import type { Session, UserRoom } from '../sessions.ts'
import type { RoomActivity } from './room-activity.ts'

/** A user's rooms by recent activity, the newest first. */
export type RoomList = {
  /** All rooms, also those that the user left. */
  readonly order: readonly UserRoom[]
  room(roomId: RoomId): UserRoom | undefined
  /** Whether somebody else ended the user's being in a room that was left. */
  isRemoval(userRoom: UserRoom): boolean
}

type Kept = {
  order: number[]
  at: number
  readonly byId: Map<string, number>
  /** By the number of the event that ended a membership. */
  readonly removals: Map<number, boolean>
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
  const order = moved && moveToFront(kept, session, activity, moved)
  kept.order = order ?? sorted(session, activity, session.rooms.keys())
  kept.at = at
  for (const { roomId, room } of session.rooms.values()) {
    if (kept.byId.size === session.rooms.size) break
    kept.byId.set(roomId, room)
  }
  return {
    order: kept.order.flatMap((room) => session.rooms.get(room) ?? []),
    room(roomId) {
      const room = kept.byId.get(roomId)
      return room === undefined ? undefined : session.rooms.get(room)
    },
    isRemoval: ({ eventNid }) => kept.removals.get(eventNid) ?? false,
  }
}

function keptOf(session: Session): Kept {
  let kept = bySession.get(session)
  if (!kept) bySession.set(session, (kept = { order: [], at: -1, byId: new Map(), removals: new Map() }))
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

/** Rooms in which nothing happened keep their order among themselves, and those in which something did are in front. */
function moveToFront(
  kept: Kept,
  session: Session,
  activity: RoomActivity,
  moved: ReadonlySet<number>,
): number[] | undefined {
  const own = [...moved].filter((room) => session.rooms.has(room))
  if (own.length === 0) return kept.order.length === session.rooms.size ? kept.order : undefined
  const front = sorted(session, activity, own)
  const order = [...front, ...kept.order.filter((room) => !moved.has(room))]
  return order.length === session.rooms.size ? order : undefined
}

function sorted(session: Session, activity: RoomActivity, rooms: Iterable<number>): number[] {
  const placed = [...rooms].map((room) => {
    const { membership, since } = session.rooms.get(room)!
    return { room, at: membership === 'join' ? Math.max(activity.of(room), since) : since }
  })
  return placed.sort((one, other) => other.at - one.at || other.room - one.room).map(({ room }) => room)
}
