import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import type { EventId, UserId } from '../matrix/ids.ts'
import { threadRootOf } from '../matrix/push-rules/event-facts.ts'
import { upTo } from '../storage/caches.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { ThreadSubscriptionFact } from '../storage/facts.ts'
import { subscribedAmongThreads, subscribersOfThread } from '../storage/thread-subscriptions.ts'
import type { EventDraft } from './append-event.ts'
import type { HotRoom } from './hot-room.ts'

/** The users who are subscribed to a thread, by their numbers. */
export type Subscribers = ReadonlyMap<number, UserId>

/**
 * Who is subscribed to the threads of the rooms in memory (MSC4306): events of a thread count otherwise for them.
 */
export type ThreadAudiences = {
  /** Makes those of the threads known that events like these are in; one statement for each the first time. */
  load(room: HotRoom, drafts: readonly Pick<EventDraft, 'content'>[]): Promise<void> | undefined
}

/** Threads of a room whose subscribers stay in memory: more than are written in at once. */
const threadsPerRoom = 256

const nobody: Subscribers = new Map()
const threads = new WeakMap<HotRoom, LRUCache<EventId, Map<number, UserId>>>()

/** The subscribers of a thread that was loaded. */
export function subscribersIn(room: HotRoom, root: EventId | undefined): Subscribers {
  return (root !== undefined && threads.get(room)?.get(root)) || nobody
}

/** Tells whether somebody is subscribed to a thread of a room. */
export type IsSubscribed = (room: number, root: EventId | undefined) => boolean

/** Of the threads that some events are in, those that a user is subscribed to. */
export async function subscribedThreads(
  ctx: Pick<Context, 'config' | 'database'>,
  userNid: number,
  events: readonly Pick<StoredEvent, 'room' | 'event'>[],
): Promise<IsSubscribed> {
  const roots = ctx.config.experimental.msc4306
    ? events.flatMap(({ event }) => threadRootOf(event.pdu.content) ?? [])
    : []
  if (roots.length === 0) return () => false
  const rows = await ctx.database.read(subscribedAmongThreads, [userNid, [...new Set(roots)].map(eventIdBytes)])
  const subscribed = new Set(rows.map((row) => `${row.room} ${row.event_id.toString('hex')}`))
  return (room, root) => root !== undefined && subscribed.has(`${room} ${eventIdBytes(root).toString('hex')}`)
}

export function createThreadAudiences(
  ctx: Pick<Context, 'config' | 'database' | 'stream' | 'hotRooms'>,
): ThreadAudiences {
  if (!ctx.config.experimental.msc4306) return { load: () => undefined }
  const loading = new WeakMap<HotRoom, Map<EventId, { changes: ThreadSubscriptionFact[]; done: Promise<void> }>>()

  const read = async (room: HotRoom, root: EventId, changes: readonly ThreadSubscriptionFact[]): Promise<void> => {
    const rows = await ctx.database.read(subscribersOfThread, [room.room, eventIdBytes(root)])
    const subscribers = new Map(rows.map((row) => [row.user_nid, row.user_id]))
    for (const change of changes) apply(subscribers, change)
    // `max` would set the whole of it aside for a room's first thread.
    const bounds = upTo(threadsPerRoom)
    const known = threads.get(room) ?? new LRUCache<EventId, Map<number, UserId>>(bounds)
    threads.set(room, known)
    known.set(root, subscribers)
  }

  const loadThread = (room: HotRoom, root: EventId): Promise<void> | undefined => {
    if (threads.get(room)?.has(root)) return undefined
    const underWay = loading.get(room) ?? new Map()
    loading.set(room, underWay)
    const present = underWay.get(root)
    if (present) return present.done
    const changes: ThreadSubscriptionFact[] = []
    const done = read(room, root, changes).finally(() => underWay.delete(root))
    underWay.set(root, { changes, done })
    return done
  }

  ctx.stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind !== 'threadSubscription') continue
      const room = ctx.hotRooms.peekByNid(fact.room)
      if (!room) continue
      const subscribers = threads.get(room)?.get(fact.root)
      if (subscribers) apply(subscribers, fact)
      loading.get(room)?.get(fact.root)?.changes.push(fact)
    }
  })

  return {
    load(room, drafts) {
      const roots = new Set(drafts.flatMap(({ content }) => threadRootOf(content) ?? []))
      if (roots.size === 0) return undefined
      return loadAll(room, [...roots])
    },
  }

  async function loadAll(room: HotRoom, roots: readonly EventId[]): Promise<void> {
    await Promise.all(roots.map((root) => loadThread(room, root)))
    // They count only while they are in the room.
    const members = new Set(roots.flatMap((root) => [...subscribersIn(room, root).values()]))
    await ctx.hotRooms.load(
      room,
      [...members].map((userId) => ['m.room.member', userId]),
    )
  }
}

function apply(subscribers: Map<number, UserId>, { userNid, userId, subscribed }: ThreadSubscriptionFact): void {
  if (subscribed) subscribers.set(userNid, userId)
  else subscribers.delete(userNid)
}
