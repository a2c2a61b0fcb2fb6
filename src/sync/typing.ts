import type { Redis } from 'ioredis'
import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'

/**
 * Who types in which room. In memory alone: it is out of date within a minute anyway. The processes of a deployment tell
 * one another through Redis; what gets lost there is forgotten when its time is up.
 */
export type Typing = {
  /** @param until Milliseconds since the epoch; undefined: has stopped. */
  set(room: number, userId: UserId, until: number | undefined): void
  /** The users who type in a room, and the counter at the last change; undefined when nobody did lately. */
  in(room: number): { readonly userIds: readonly UserId[]; readonly counter: number } | undefined
  /** Calls back for what is set in this process. */
  follow(follower: (room: number, userId: UserId, typing: boolean) => void): void
  /** Rises with every change of what is only in memory. */
  readonly counter: number
  /** Raises the counter for a change of something else that is only in memory. */
  nextCounter(): number
  close(): void
}

type Room = { readonly until: Map<UserId, number>; counter: number; changedAt: number }

const sweepEvery = 1000
/** How long an empty room is remembered, so that readers learn that the last one stopped. */
const rememberEmpty = 120_000

export function createTyping(
  ctx: Pick<Context, 'clock' | 'config' | 'processId'>,
  redis: { readonly publisher: Redis; readonly subscriber: Redis } | undefined,
  onChange: (room: number) => void,
): Typing {
  const rooms = new Map<number, Room>()
  const channel = `${ctx.config.redis.prefix}:typing`
  const followers: Parameters<Typing['follow']>[0][] = []
  let counter = 0

  const touch = (nid: number, room: Room): void => {
    room.counter = ++counter
    room.changedAt = ctx.clock.now()
    onChange(nid)
  }

  const sweep = setInterval(() => {
    const now = ctx.clock.now()
    for (const [nid, room] of rooms) {
      let changed = false
      for (const [userId, until] of room.until) changed = (until <= now && room.until.delete(userId)) || changed
      if (changed) touch(nid, room)
      else if (room.until.size === 0 && now - room.changedAt > rememberEmpty) rooms.delete(nid)
    }
  }, sweepEvery)
  sweep.unref()

  const apply = (nid: number, userId: UserId, until: number | undefined): void => {
    let room = rooms.get(nid)
    if (until === undefined) {
      if (room?.until.delete(userId)) touch(nid, room)
      return
    }
    if (!room) rooms.set(nid, (room = { until: new Map(), counter: 0, changedAt: 0 }))
    const isNew = !room.until.has(userId)
    room.until.set(userId, until)
    if (isNew) touch(nid, room)
  }

  const receive = (from: string, message: string): void => {
    if (from !== channel) return
    const [origin, room, userId, until] = message.split(' ')
    if (origin !== ctx.processId) apply(Number(room), userId as UserId, until ? Number(until) : undefined)
  }
  const subscribe = (): void => {
    redis?.subscriber.subscribe(channel).catch(() => {})
  }
  if (redis) {
    redis.subscriber.on('message', receive)
    redis.subscriber.on('ready', subscribe)
    if (redis.subscriber.status === 'ready') subscribe()
  }

  return {
    set(nid, userId, until) {
      apply(nid, userId, until)
      for (const follower of followers) follower(nid, userId, until !== undefined)
      redis?.publisher.publish(channel, `${ctx.processId} ${nid} ${userId} ${until ?? ''}`).catch(() => {})
    },
    in(nid) {
      const room = rooms.get(nid)
      return room && { userIds: [...room.until.keys()], counter: room.counter }
    },
    follow: (follower) => void followers.push(follower),
    get counter() {
      return counter
    },
    nextCounter: () => ++counter,
    close: () => clearInterval(sweep),
  }
}
