import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { type Database, statement } from './database.ts'
import type { Fact } from './facts.ts'
import type { Commit } from './writer.ts'

export type { Fact, StateChangeFact } from './facts.ts'

/**
 * The stream of what was committed, by whichever process. Followers hear of every fact exactly once, in order of position;
 * the position rises just before they do, and never over something that is missing.
 *
 * With Redis each process publishes the facts of its commits. What does not arrive is read from the database, so that
 * losing Redis makes it slower and never wrong.
 */
export type Stream = {
  /** Everything up to here has been told to the followers. */
  readonly position: number
  follow(follower: Follower): void
  /** Called by the writer after each of its commits. */
  committed(commit: Commit): void
  /** Asks the database for what other processes committed, and resolves when that has been told. */
  catchUp(): Promise<void>
  /** Resolves when the position has been reached. */
  reached(position: number): Promise<void>
  close(): Promise<void>
}

export type Follower = (facts: readonly Fact[], from: { readonly position: number; readonly isOurs: boolean }) => void

/** What was committed in a span of positions, as the database has it. */
export type ReadFacts = (after: number, upTo: number) => Promise<readonly Fact[]>

type Arrived = { readonly last: number; readonly facts: readonly Fact[]; readonly isOurs: boolean }

/** Milliseconds that a gap may last before the database is asked. */
const patience = 25
/** Milliseconds between two looks at the database: while Redis is away, and in case a message was lost. */
const pollAlone = 100
const pollBeside = 2000
/** Positions read at once from the database. */
const spanMax = 5000

export const streamPosition = statement<{ position: number }>('stream position', 'select position from stream')

export function createStream(options: {
  readonly start: number
  readonly database: Pick<Database, 'read'>
  readonly readFacts: ReadFacts
  readonly log: Logger
  readonly processId: string
  readonly redis?: { publisher: Redis; subscriber: Redis; prefix: string }
}): Stream {
  const { redis, processId } = options
  const channel = `${redis?.prefix}:stream`
  let position = options.start
  let reading: Promise<void> | undefined
  let impatient: NodeJS.Timeout | undefined
  let closed = false
  const followers: Follower[] = []
  const arrived = new Map<number, Arrived>()
  let waiters: { position: number; resolve: () => void }[] = []

  const tell = ({ last, facts, isOurs }: Arrived): void => {
    position = last
    for (const follower of followers) follower(facts, { position: last, isOurs })
    if (waiters.length === 0) return
    const ready = waiters.filter((waiter) => waiter.position <= last)
    waiters = waiters.filter((waiter) => waiter.position > last)
    for (const waiter of ready) waiter.resolve()
  }

  /** Tells what has arrived, up to the first gap. */
  const advance = (): void => {
    for (let next = arrived.get(position + 1); next; next = arrived.get(position + 1)) {
      arrived.delete(position + 1)
      tell(next)
    }
    for (const first of arrived.keys()) if (first <= position) arrived.delete(first)
    if (arrived.size === 0 || impatient || closed) return
    impatient = setTimeout(() => {
      impatient = undefined
      if (arrived.size > 0) void catchUp()
    }, patience)
  }

  const readGap = async (): Promise<void> => {
    const [row] = await options.database.read(streamPosition, [])
    while (position < row!.position && !closed) {
      const upTo = Math.min(row!.position, position + spanMax)
      const after = position
      const facts = await options.readFacts(after, upTo)
      // Some of it may have arrived the usual way meanwhile.
      if (position >= upTo) continue
      tell({ last: upTo, facts: facts.filter((fact) => fact.position > position), isOurs: false })
      advance()
    }
  }

  const catchUp = (): Promise<void> => {
    reading ??= readGap()
      .catch((error: unknown) => options.log.warn({ err: error }, 'The stream could not be read'))
      .finally(() => {
        reading = undefined
      })
    return reading
  }

  const receive = (message: string): void => {
    const { origin, first, last, facts } = JSON.parse(message) as {
      origin: string
      first: number
      last: number
      facts: Fact[]
    }
    if (origin === processId || last <= position) return
    arrived.set(first, { last, facts, isOurs: false })
    advance()
  }

  let connected = false
  if (redis) {
    const subscribe = async (): Promise<void> => {
      try {
        await redis.subscriber.subscribe(channel)
        connected = true
        await catchUp()
      } catch {
        connected = false
      }
    }
    redis.subscriber.on('message', (from: string, message: string) => {
      if (from === channel) receive(message)
    })
    redis.subscriber.on('ready', () => void subscribe())
    redis.subscriber.on('close', () => {
      connected = false
    })
    if (redis.subscriber.status === 'ready') void subscribe()
  }

  let lastPoll = 0
  const poll = redis
    ? setInterval(() => {
        const now = performance.now()
        if (connected && now - lastPoll < pollBeside) return
        lastPoll = now
        void catchUp()
      }, pollAlone)
    : undefined
  poll?.unref()

  return {
    get position() {
      return position
    },
    follow(follower) {
      followers.push(follower)
    },
    committed({ first, last, facts }) {
      if (last < first) return
      const told = facts as readonly Fact[]
      if (redis) {
        const message = JSON.stringify({ origin: processId, first, last, facts: told })
        redis.publisher.publish(channel, message).catch(() => {})
      }
      arrived.set(first, { last, facts: told, isOurs: true })
      advance()
    },
    catchUp,
    reached(wanted) {
      if (wanted <= position) return Promise.resolve()
      return new Promise((resolve) => waiters.push({ position: wanted, resolve }))
    },
    async close() {
      closed = true
      clearInterval(poll)
      clearTimeout(impatient)
      await reading
    },
  }
}
