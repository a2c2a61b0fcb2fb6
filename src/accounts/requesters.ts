import { hash } from 'node:crypto'
import type { ApplicationService } from '../application-services/registration.ts'
import type { Clock } from '../clock.ts'
import type { Invalidations } from '../invalidation.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { findAccessToken, markAccessTokenUsed, type TokenRow } from '../storage/access-tokens.ts'
import type { Caches } from '../storage/caches.ts'
import type { Database } from '../storage/database.ts'

/** Who sent a request. */
export type Requester = {
  readonly userId: UserId
  readonly userNid: number
  /** Absent for application services, which act without a device. */
  readonly deviceId: string | undefined
  readonly domain: ServerName
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isLocked: boolean
  readonly isSuspended: boolean
  /** SHA-256 of the access token, in hexadecimal. */
  readonly tokenHash: string
  /** How often the user may send, where an administrator has said so; 0 per second is without a limit. */
  readonly messageLimit?: { readonly per_second: number; readonly burst_count: number }
  /** The application service that acts as this user. */
  readonly service?: ApplicationService
}

export type TokenOwner =
  | { readonly requester: Requester }
  /** `softLogout`: the token was good once, and its device can log in again without losing its keys. */
  | { readonly requester: undefined; readonly softLogout: boolean }

/**
 * Who access tokens belong to, remembered so that a warm request costs no statement. What the owner verbs change
 * (log-out, deactivation, locking, …) they publish as an invalidation of the user.
 */
export type Requesters = {
  /**
   * Answers at once when it knows.
   *
   * @param tokenHash as `tokenHashOf` gives it.
   */
  ofToken(tokenHash: string): TokenOwner | Promise<TokenOwner>
}

type Entry = { readonly requester: Requester; readonly expiresAt: number | null; readonly loadedAt: number }

type Dependencies = {
  database: Database
  caches: Caches
  clock: Clock
  invalidations: Invalidations
  config: { redis: { url?: string } }
}

/** SHA-256 of an access token, in hexadecimal: tokens are looked up by it, so that how long that takes says nothing about them. */
export function tokenHashOf(token: string): string {
  return hash('sha256', token, 'hex')
}

const maxEntries = 50_000
/** With other processes about, an invalidation may be lost with the connection it was sent on. */
const maxAgeBesideOthers = 60_000

const unknown: TokenOwner = { requester: undefined, softLogout: false }

export function createRequesters(ctx: Dependencies): Requesters {
  const entries = new Map<string, Entry>()
  const lookUps = ctx.caches.counted('access tokens', () => entries.size)
  const hashesOf = new Map<UserId, Set<string>>()
  const maxAge = ctx.config.redis.url === undefined ? Number.POSITIVE_INFINITY : maxAgeBesideOthers
  // What was read before an invalidation and arrives after it must not be remembered.
  let generation = 0

  function forget(tokenHash: string): void {
    const entry = entries.get(tokenHash)
    if (entry === undefined) return
    entries.delete(tokenHash)
    const hashes = hashesOf.get(entry.requester.userId)
    hashes?.delete(tokenHash)
    if (hashes?.size === 0) hashesOf.delete(entry.requester.userId)
  }

  function remember(tokenHash: string, entry: Entry): void {
    if (entries.size >= maxEntries) forget(entries.keys().next().value!)
    entries.set(tokenHash, entry)
    const hashes = hashesOf.get(entry.requester.userId)
    if (hashes === undefined) hashesOf.set(entry.requester.userId, new Set([tokenHash]))
    else hashes.add(tokenHash)
  }

  ctx.invalidations.subscribe('user', (userId) => {
    generation++
    if (userId === undefined) {
      entries.clear()
      hashesOf.clear()
    } else {
      for (const tokenHash of [...(hashesOf.get(userId as UserId) ?? [])]) forget(tokenHash)
    }
  })

  async function load(tokenHash: string): Promise<TokenOwner> {
    const before = generation
    const bytes = Buffer.from(tokenHash, 'hex')
    const row = await findAccessToken(ctx.database, bytes)
    if (row === undefined) return unknown
    if (isExpired(row.expires_at, ctx.clock)) return { requester: undefined, softLogout: true }
    if (!row.used && row.refresh_token !== null) await endPredecessors(ctx, bytes, row, row.refresh_token)
    const requester = requesterFrom(row, tokenHash)
    if (generation === before) {
      remember(tokenHash, { requester, expiresAt: row.expires_at, loadedAt: ctx.clock.monotonic() })
    }
    return { requester }
  }

  return {
    ofToken(tokenHash) {
      const entry = entries.get(tokenHash)
      if (entry === undefined || !ctx.invalidations.connected) {
        lookUps.misses++
        return load(tokenHash)
      }
      lookUps.hits++
      if (isExpired(entry.expiresAt, ctx.clock)) {
        forget(tokenHash)
        return { requester: undefined, softLogout: true }
      }
      if (ctx.clock.monotonic() - entry.loadedAt > maxAge) {
        forget(tokenHash)
        return load(tokenHash)
      }
      return entry
    },
  }
}

/** Spec: Client-Server API, "Refreshing access tokens": the old token ends when the new one is used. */
async function endPredecessors(
  ctx: Dependencies,
  tokenHash: Buffer,
  row: TokenRow,
  refreshToken: number,
): Promise<void> {
  await ctx.database.db.transaction().execute((tx) =>
    markAccessTokenUsed(tx, {
      token_hash: tokenHash,
      user_nid: row.user_nid,
      device_id: row.device_id,
      refresh_token: refreshToken,
    }),
  )
  ctx.invalidations.publish('user', row.user_id)
}

function isExpired(expiresAt: number | null, clock: Clock): boolean {
  return expiresAt !== null && expiresAt <= clock.now()
}

function requesterFrom(row: TokenRow, tokenHash: string): Requester {
  return {
    userId: row.user_id,
    userNid: row.user_nid,
    deviceId: row.device_id,
    domain: serverNameOf(row.user_id),
    isAdmin: row.is_admin,
    isGuest: row.is_guest,
    isLocked: row.locked,
    isSuspended: row.suspended,
    tokenHash,
    ...(row.messages_per_second !== null && {
      messageLimit: { per_second: row.messages_per_second, burst_count: row.messages_burst_count ?? 0 },
    }),
  }
}
