import type { Redis } from 'ioredis'
import type { Logger } from 'pino'

/** What changed, and so must be forgotten by every process that remembers it. */
export type InvalidationKind =
  | 'user'
  | 'user-rooms'
  | 'push-rules'
  | 'pushers'
  | 'device-keys'
  | 'room'
  | 'media'
  | 'delayed-events'
  | 'partial-rooms'
  | 'staged-events'
  | 'admin-jobs'
  | 'blocked-rooms'
  /** Another server that could not be reached. */
  | 'silent-servers'
  /** Another server that is not to be waited for any longer. */
  | 'destinations'
  /** The file or the environment that every process is configured by. */
  | 'configuration'

/** The key of what changed; `undefined` when any of that kind may have changed unheard. */
export type Invalidated = string | undefined

/**
 * Tells every process of the deployment that something it may have cached has changed. Publish after the commit.
 */
export type Invalidations = {
  /** Reaches the subscribers of this process before it returns, and those of the others soon after. */
  publish(kind: InvalidationKind, key: string): void
  subscribe(kind: InvalidationKind, listener: (key: Invalidated) => void): void
  /** Whether messages of other processes arrive. Without Redis there are none, so they all do. */
  readonly connected: boolean
  close(): Promise<void>
}

/** In place of a kind: messages were lost, so forget all of every kind. */
const everything = '*'

/**
 * `publisher` and `subscriber` are two connections to one Redis: a connection that subscribes can do nothing else. When
 * the subscription comes back after it was lost, every subscriber is told to forget everything; when messages of ours
 * could not be sent, the other processes are told so as soon as they can be.
 */
export function createInvalidations(options: {
  redis?: { publisher: Redis; subscriber: Redis }
  /** Of keys and channels, so that several deployments may share a Redis. */
  prefix: string
  processId: string
  log: Logger
}): Invalidations {
  const channel = `${options.prefix}:invalidations`
  const listeners = new Map<InvalidationKind, ((key: Invalidated) => void)[]>()
  const redis = options.redis
  let connected = redis === undefined
  let unsent = false

  function tell(kind: InvalidationKind, key: Invalidated): void {
    for (const listener of listeners.get(kind) ?? []) listener(key)
  }

  function tellAll(): void {
    for (const kind of listeners.keys()) tell(kind, undefined)
  }

  function receive(message: string): void {
    const [origin, kind, ...key] = message.split('\n')
    if (origin === options.processId) return
    if (kind === everything) tellAll()
    else tell(kind as InvalidationKind, key.join('\n'))
  }

  function send(publisher: Redis, kind: string, key: string): void {
    publisher.publish(channel, `${options.processId}\n${kind}\n${key}`).catch(() => {
      unsent = true
    })
  }

  async function subscribeAgain(subscriber: Redis): Promise<void> {
    try {
      await subscriber.subscribe(channel)
    } catch {
      return
    }
    connected = true
    tellAll()
  }

  if (redis !== undefined) {
    redis.subscriber.on('message', (from: string, message: string) => {
      if (from === channel) receive(message)
    })
    redis.subscriber.on('ready', () => void subscribeAgain(redis.subscriber))
    redis.subscriber.on('close', () => {
      if (connected) options.log.warn('Redis is gone: caches shared between processes are bypassed until it is back')
      connected = false
    })
    redis.publisher.on('ready', () => {
      if (unsent) send(redis.publisher, everything, '')
      unsent = false
    })
    if (redis.subscriber.status === 'ready') void subscribeAgain(redis.subscriber)
  }

  return {
    publish(kind, key) {
      tell(kind, key)
      if (redis !== undefined) send(redis.publisher, kind, key)
    },
    subscribe(kind, listener) {
      listeners.set(kind, [...(listeners.get(kind) ?? []), listener])
    },
    get connected() {
      return connected
    },
    async close() {
      connected = false
      listeners.clear()
    },
  }
}
