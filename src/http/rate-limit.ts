import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { Requester } from '../accounts/requesters.ts'
import type { Clock } from '../clock.ts'
import type { Config, RateLimitKind } from '../config.ts'
import { MatrixError } from '../matrix/errors.ts'

/**
 * Token buckets by kind and by key (a user, an address, a room, …), shared by the processes of a deployment when there
 * is Redis.
 */
export type RateLimits = {
  /**
   * Takes one request from the bucket.
   *
   * @param rate In place of the configured one.
   * @throws MatrixError M_LIMIT_EXCEEDED with `retry_after_ms`.
   */
  take(kind: RateLimitKind, key: string, rate?: Rate): Promise<void>
  /** As `take`, without taking: whether a request would be refused. */
  check(kind: RateLimitKind, key: string): Promise<void>
  /** Takes what something has cost that was let begin: more than there is makes the next ones wait longer. */
  charge(kind: RateLimitKind, key: string, cost: number): Promise<void>
}

/** Whether anything is taken: not at all, one if there is one, or so many in any case. */
type Taking = 'none' | 'one' | number

/** A burst of 0 lets one through at a time all the same. */
type Rate = { readonly per_second: number; readonly burst_count: number }

/** The bucket is empty `now` until `fullAt`: a leaky bucket needs to remember one moment (GCRA). */
type Buckets = {
  /** @returns milliseconds to wait; 0 when the request may pass. */
  take(key: string, rate: Rate, taking: Taking): number | Promise<number>
}

/**
 * Kinds that guard secrets: while Redis is away these are refused, as a guess counted by one process only is a guess
 * too many. The others are counted in memory meanwhile.
 */
const guardsSecrets: ReadonlySet<RateLimitKind> = new Set<RateLimitKind>([
  'registration',
  'registration_token_validity',
  'login_address',
  'login_account',
  'login_failed',
  'admin_refused',
  'mail_address',
  'mail_requests',
  'mail_wrong_tokens',
])

/** Spec: Application Service API, "Registration", `rate_limited` (v1.19). */
export function isUnlimited(requester: Requester | undefined): boolean {
  const service = requester?.service
  return service !== undefined && (!service.isRateLimited || requester!.userId === service.sender)
}

const maxBuckets = 100_000

export function createRateLimits(ctx: {
  config: Config
  clock: Clock
  log: Logger
  redis: Redis | undefined
}): RateLimits {
  const rates = ctx.config.rate_limits
  if (!rates.enabled) return { take: async () => {}, check: async () => {}, charge: async () => {} }
  const local = localBuckets(ctx.clock)
  const shared = ctx.redis === undefined ? undefined : redisBuckets(ctx.redis, ctx.config.redis.prefix)

  async function spend(kind: RateLimitKind, key: string, taking: Taking, rate: Rate = rates[kind]): Promise<void> {
    const bucket = `${kind}:${key}`
    let wait: number
    try {
      wait = await (shared ?? local).take(bucket, rate, taking)
    } catch {
      if (guardsSecrets.has(kind)) {
        throw new MatrixError('M_LIMIT_EXCEEDED', 'The server cannot check this now, try again later', {
          extra: { retry_after_ms: 5000 },
        })
      }
      wait = await local.take(bucket, rate, taking)
    }
    if (wait > 0) {
      throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many requests', { extra: { retry_after_ms: Math.ceil(wait) } })
    }
  }

  return {
    take: (kind, key, rate) => spend(kind, key, 'one', rate),
    check: (kind, key) => spend(kind, key, 'none'),
    charge: (kind, key, cost) => spend(kind, key, cost),
  }
}

function localBuckets(clock: Clock): Buckets {
  const fullAt = new Map<string, number>()
  return {
    take(key, rate, taking) {
      const now = clock.monotonic()
      const interval = 1000 / rate.per_second
      const isOwed = typeof taking === 'number'
      const next = Math.max(fullAt.get(key) ?? now, now) + interval * (isOwed ? taking : 1)
      const wait = next - now - interval * Math.max(rate.burst_count, 1)
      if (!isOwed && (wait > 1e-6 || taking === 'none')) return Math.max(wait, 0)
      fullAt.delete(key)
      if (fullAt.size >= maxBuckets) forgetBuckets(fullAt, now)
      fullAt.set(key, next)
      return 0
    },
  }
}

/** Drops the buckets that are full again, or the longest unused ones if none is. */
function forgetBuckets(fullAt: Map<string, number>, now: number): void {
  for (const [key, moment] of fullAt) if (moment <= now) fullAt.delete(key)
  let surplus = fullAt.size - maxBuckets * 0.9
  for (const key of fullAt.keys()) {
    if (surplus-- <= 0) break
    fullAt.delete(key)
  }
}

/** Redis's own clock decides, so that processes with different clocks agree. */
const takeScript = `
local interval = 1000000 / tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now then full_at = now end
local owed = tonumber(ARGV[3])
local after = full_at + interval * (owed or 1)
local wait = after - now - interval * tonumber(ARGV[2])
if wait > 1 and not owed then return math.ceil(wait / 1000) end
if ARGV[3] ~= 'none' then
  redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
end
return 0
`

type ScriptedRedis = Redis & {
  chappeTake(key: string, perSecond: number, burst: number, taking: Taking): Promise<number>
}

function redisBuckets(redis: Redis, prefix: string): Buckets {
  redis.defineCommand('chappeTake', { numberOfKeys: 1, lua: takeScript })
  const scripted = redis as ScriptedRedis
  return {
    take: (key, rate, taking) =>
      scripted.chappeTake(`${prefix}:rate:${key}`, rate.per_second, rate.burst_count, taking),
  }
}
