import type { Context } from '../context.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { UserId } from '../matrix/ids.ts'
import { powerLevelsOf } from '../matrix/power-levels.ts'
import { evaluate } from '../matrix/push-rules/evaluate.ts'
import { eventFacts } from '../matrix/push-rules/event-facts.ts'
import { type IsSubscribed, subscribedThreads } from '../rooms/thread-audience.ts'
import {
  deletePusher,
  eventsToPush,
  type PusherRow,
  pusherWithUser,
  saveBadge,
  savePushed,
  savePushFailure,
} from '../storage/pushers.ts'
import { remoteMembershipsOfUser, storedMembershipEvent } from '../storage/remote-memberships.ts'
import type { PushedEvent, PusherKind, PushResult } from './pusher-kinds.ts'
import { unreadOf } from './unread.ts'

type Engine = Pick<Context, 'database' | 'events' | 'hotRooms' | 'pushRules' | 'clock' | 'log' | 'config'>

/** What a pusher may have to be told of. */
export type Errand = {
  /** Everything up to here was told, or is nothing for it. */
  readonly after: number
  /** Nothing after this is told now: of that, it is not known yet in which rooms it is. */
  readonly upTo: number
  /** undefined: any. */
  readonly rooms: ReadonlySet<number> | undefined
  /** Whether the number of what is unread may have changed without a new event. */
  readonly badge: boolean
}

/** `retryAt`: the rest has to wait until then. `gone`: there is no such pusher any more. */
export type Delivery = 'done' | 'gone' | { readonly retryAt: number }

/** Milliseconds before the first new attempt; doubled by each failure. */
const firstRetry = 1_000
const longestRetry = 3_600_000
/** What a gateway could not be told for that long is told to nobody any more: the user has seen it elsewhere, or not. */
const giveUpAfter = 24 * 3_600_000
const pageSize = 50

/**
 * Tells one pusher what it is to be told, oldest first, and notes each success at once, so that whoever goes on after a
 * crash does not tell it again.
 *
 * A push that is under way when everything stops is finished, so that nobody repeats it.
 *
 * @throws when the database cannot be reached: nothing is lost, the errand has to be done again.
 */
export async function deliver(
  ctx: Engine,
  kindOf: (name: string) => PusherKind | undefined,
  pusherId: number,
  errand: Errand,
  stop: AbortSignal,
): Promise<Delivery> {
  const [pusher] = await ctx.database.read(pusherWithUser, [pusherId])
  const kind = pusher && kindOf(pusher.kind)
  if (!pusher || !kind) return 'gone'
  const now = ctx.clock.now()
  if (pusher.retry_at > now) return { retryAt: pusher.retry_at }
  const { upTo } = errand
  // While pushes fail, everything after the pusher's own position waits.
  const rooms = pusher.failing_since === null && errand.rooms ? [...errand.rooms] : null
  let after = pusher.failing_since === null ? Math.max(pusher.position, errand.after) : pusher.position
  if (pusher.failing_since !== null && now - pusher.failing_since > giveUpAfter) after = Math.max(after, upTo)
  try {
    for (;;) {
      const news = await ctx.database.read(eventsToPush, [pusher.user_nid, after, upTo, rooms, pageSize])
      for (const { event_nid: nid, room, timeline } of news) {
        if (stop.aborted) return 'done'
        const event = await pushedEvent(ctx, pusher, { nid, room })
        if (event) {
          if ((await kind.push(pusher, event)) === 'rejected') return await remove(ctx, pusher)
          const [saved] = await ctx.database.read(savePushed, [pusherId, timeline, event.unread])
          // Somebody else goes on with it.
          if (!saved) return 'gone'
          pusher.badge = event.unread
        }
        after = timeline
      }
      if (news.length < pageSize) break
    }
    const isShown = errand.badge || pusher.failing_since !== null
    if (isShown && (await showUnread(ctx, kind, pusher)) === 'rejected') return await remove(ctx, pusher)
    return 'done'
  } catch (error) {
    if (stop.aborted) return 'done'
    const retryAt = ctx.clock.now() + Math.min(firstRetry * 2 ** Math.min(pusher.failures, 20), longestRetry)
    ctx.log.debug({ error: (error as Error).message, pusher: pusherId }, 'A push did not arrive')
    await ctx.database.read(savePushFailure, [pusherId, after, ctx.clock.now(), retryAt])
    return { retryAt }
  }
}

async function remove(ctx: Engine, pusher: PusherRow): Promise<'gone'> {
  await ctx.database.read(deletePusher, [pusher.pusher])
  return 'gone'
}

async function showUnread(ctx: Engine, kind: PusherKind, pusher: PusherRow): Promise<PushResult> {
  if (!kind.showUnread) return 'sent'
  const unread = await unreadOf(ctx, pusher.user_nid)
  // A larger number comes with the event that makes it larger.
  const isLess = pusher.badge === null || unread < pusher.badge
  if (isLess && (await kind.showUnread(pusher, unread)) === 'rejected') return 'rejected'
  if (isLess || pusher.failing_since !== null) {
    await ctx.database.read(saveBadge, [pusher.pusher, isLess ? unread : pusher.badge])
  }
  return 'sent'
}

/** @returns undefined for what the user's rules do not notify them of, after all, or what was redacted meanwhile. */
async function pushedEvent(
  ctx: Engine,
  pusher: PusherRow & { user_id: UserId },
  place: { readonly nid: number; readonly room: number },
): Promise<PushedEvent | undefined> {
  const event = await eventAt(ctx, pusher.user_nid, place)
  const room = event && (await ctx.hotRooms.getByNid(place.room))
  if (!event || !room) return undefined
  const userId = pusher.user_id
  await ctx.hotRooms.load(room, [
    ['m.room.member', event.pdu.sender],
    ['m.room.member', userId],
  ])
  const isSubscribed = await subscribedThreads(ctx, pusher.user_nid, [{ room: place.room, event }])
  const outcome = await outcomeFor(ctx, room, event, { userId, userNid: pusher.user_nid, isSubscribed })
  if (!outcome.notify) return undefined
  return { event, room, userId, outcome, unread: await unreadOf(ctx, pusher.user_nid) }
}

/** @returns undefined for what was redacted, and for an invite that has been answered. */
async function eventAt(
  ctx: Pick<Engine, 'events' | 'database'>,
  userNid: number,
  { nid, room }: { readonly nid: number; readonly room: number },
): Promise<RoomEvent | undefined> {
  if (nid !== 0) {
    const [stored] = await ctx.events.byNids([nid])
    return stored?.redactedBy === null ? stored.event : undefined
  }
  const [row] = await ctx.database.read(remoteMembershipsOfUser, [userNid, [room]])
  return row && storedMembershipEvent(row.pdu, row.room_version)
}

/** What a user's push rules say about an event, with the room as it is now. */
export async function outcomeFor(
  ctx: Pick<Engine, 'pushRules'>,
  room: PushedEvent['room'],
  event: RoomEvent,
  user: { readonly userId: UserId; readonly userNid: number; readonly isSubscribed: IsSubscribed },
): Promise<PushedEvent['outcome']> {
  const rules = await ctx.pushRules.compiled(user)
  const create = room.get('m.room.create', '')
  const levels = create && powerLevelsOf(room.get('m.room.power_levels', '')?.pdu.content, create, room.rules)
  const powerLevels = levels ?? { userLevel: () => 0, notificationLevel: () => 50 }
  const facts = eventFacts(event, { roomMemberCount: room.joinedMembers, powerLevels })
  const displayName = room.get('m.room.member', user.userId)?.pdu.content.displayname
  return evaluate(rules, facts, {
    userId: user.userId,
    displayName: typeof displayName === 'string' ? displayName : undefined,
    isSubscribed: user.isSubscribed(room.room, facts.threadRoot),
  })
}
