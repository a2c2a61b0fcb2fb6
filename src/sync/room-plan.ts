import type { Feeds, RoomFeed } from './feeds.ts'
import type { SyncFilter } from './filter.ts'
import type { Session, UserRoom } from './sessions.ts'
import type { Typing } from './typing.ts'

/** What of a room goes into a sync. */
export type RoomPlan = {
  readonly userRoom: UserRoom
  readonly section: 'join' | 'leave' | 'invite' | 'knock'
  /** Everything, because the client has nothing of it; otherwise what came after `after`. */
  readonly full: boolean
  readonly after: number
  readonly upTo: number
  /** Joined since the last sync: what is shown does not follow on what the client may still have of the room. */
  readonly isRejoined: boolean
  readonly feed: RoomFeed | undefined
  /** The feed holds everything between `after` and `upTo`. */
  readonly warm: boolean
}

export type Span = {
  /** Undefined: an initial sync. */
  readonly since: number | undefined
  readonly upTo: number
  readonly fullState: boolean
}

/** Before everything, back-filled history included. */
export const beginning = -Number.MAX_SAFE_INTEGER

/** Which rooms a sync tells about, judged from memory alone. */
export function planRooms(
  session: Session,
  feeds: Feeds,
  typing: Typing,
  span: Span & { typingSince: number },
  filter: SyncFilter,
): RoomPlan[] {
  const plans: RoomPlan[] = []
  for (const userRoom of session.rooms.values()) {
    if (!filter.allowsRoom(userRoom.roomId)) continue
    const plan = planRoom(userRoom, feeds.of(userRoom.room), feeds.completeAfter, span, filter)
    if (!plan) continue
    const isQuiet = span.since !== undefined && !plan.full && plan.section === 'join' && isUnchanged(plan, span.since)
    if (isQuiet && (typing.in(userRoom.room)?.counter ?? 0) <= span.typingSince) continue
    plans.push(plan)
  }
  return plans
}

function isUnchanged(plan: RoomPlan, since: number): boolean {
  return plan.warm && (plan.feed?.last ?? 0) <= since && plan.userRoom.readAt <= since
}

type Completion = 'awaited' | 'new' | undefined

function planRoom(
  userRoom: UserRoom,
  feed: RoomFeed | undefined,
  feedsCompleteAfter: number,
  span: Span,
  filter: SyncFilter,
): RoomPlan | undefined {
  const { since, upTo } = span
  const changed = since === undefined || userRoom.since > since
  // Told once the position has got there.
  if (userRoom.since > upTo) return undefined
  const completion = completionOf(userRoom, span, filter)
  if (completion === 'awaited') return undefined
  const warm = completion !== 'new' && since !== undefined && since >= (feed?.completeAfter ?? feedsCompleteAfter)
  const isRejoined = since !== undefined && changed && userRoom.membership === 'join'
  const common = { userRoom, upTo, feed, warm, isRejoined }
  switch (userRoom.membership) {
    case 'join': {
      const isNew = changed || completion === 'new'
      return { ...common, section: 'join', full: isNew || span.fullState, after: isNew ? beginning : since! }
    }
    case 'invite':
    case 'knock':
      return changed ? { ...common, section: userRoom.membership, full: true, after: beginning } : undefined
    default: {
      if (!changed) return undefined
      // The user's other devices hear of the leaving even of a room that was forgotten at once.
      if (since === undefined && (userRoom.forgotten || !filter.includeLeave)) return undefined
      const after = since === undefined ? beginning : since
      return { ...common, section: 'leave', full: since === undefined, after, upTo: userRoom.since }
    }
  }
}

/**
 * Who wants all members in the state is told of a room that was joined without them once they are there, and then as of a new
 * one. Who loads them lazily has it at once, and then again where something of it was wrong.
 */
function completionOf(userRoom: UserRoom, { since, upTo }: Span, filter: SyncFilter): Completion {
  const { membership, completed, isCorrected } = userRoom
  const isLazy = filter.state.lazyLoadMembers
  if (completed === undefined || membership !== 'join' || (isLazy && !isCorrected)) return undefined
  if (completed === 'not yet' || completed > upTo) return isLazy ? undefined : 'awaited'
  return since !== undefined && completed > since ? 'new' : undefined
}
