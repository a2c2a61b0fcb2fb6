import type { Redis } from 'ioredis'
import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { PresenceState } from './person.ts'

/** What a process says of one device, or of a user of another server. */
export type Told = {
  readonly userId: UserId
  readonly userNid: number
  /** What the claim is known by. */
  readonly key: string
  readonly state: PresenceState
  readonly until: number
  readonly lastActive: number
  /** null: nothing is said any more; absent: as before. */
  readonly statusMsg?: string | null
}

/** The processes of a deployment tell one another. What gets lost is repeated soon. */
export function createPresenceTalk(
  ctx: Pick<Context, 'config' | 'processId'>,
  redis: { readonly publisher: Redis; readonly subscriber: Redis } | undefined,
  hear: (told: Told) => void,
): { tell(told: Told): void } {
  const channel = `${ctx.config.redis.prefix}:presence`
  const subscribe = (): void => {
    redis?.subscriber.subscribe(channel).catch(() => {})
  }
  if (redis) {
    redis.subscriber.on('message', (from: string, message: string) => {
      if (from !== channel) return
      const { origin, told } = JSON.parse(message) as { origin: string; told: Told }
      if (origin !== ctx.processId) hear(told)
    })
    redis.subscriber.on('ready', subscribe)
    if (redis.subscriber.status === 'ready') subscribe()
  }
  return {
    tell: (told) => {
      redis?.publisher.publish(channel, JSON.stringify({ origin: ctx.processId, told })).catch(() => {})
    },
  }
}
