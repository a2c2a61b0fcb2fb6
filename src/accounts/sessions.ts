import { hash } from 'node:crypto'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import {
  deleteOldRefreshTokens,
  deleteTokenPair,
  deleteTokensOfDevice,
  findRefreshChain,
  insertAccessToken,
  insertRefreshToken,
  lockRefreshToken,
  setSuccessor,
  wasUsed,
} from '../storage/access-tokens.ts'
import type { Tx } from '../storage/database.ts'
import { upsertDevice } from '../storage/devices.ts'
import { deletePushersOfDevice } from '../storage/pushers.ts'

/** What a client is given to act for a user from a device. */
export type Session = {
  readonly accessToken: string
  readonly deviceId: string
  readonly refreshToken: string | undefined
  readonly expiresInMs: number | undefined
}

type Dependencies = Pick<Context, 'config' | 'database' | 'clock' | 'random' | 'invalidations'>

type User = { readonly userId: UserId; readonly userNid: number }

const deviceIdAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** The form in which tokens are stored: SHA-256. They are random, so a faster hash than a password's is enough. */
export function tokenHash(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}

/**
 * Starts a session on a new device, or on the one that `deviceId` names, whose earlier tokens end.
 *
 * Spec: Client-Server API, "Relationship between access tokens and devices" (v1.19).
 */
export async function openSession(
  ctx: Dependencies,
  user: User,
  device: { deviceId?: string | undefined; displayName?: string | undefined; refreshable?: boolean | undefined },
): Promise<Session & { isNewDevice: boolean }> {
  const deviceId = device.deviceId ?? newDeviceId(ctx)
  const now = ctx.clock.now()
  const session = await ctx.database.db.transaction().execute(async (tx) => {
    const { isNew } = await upsertDevice(tx, {
      user_nid: user.userNid,
      device_id: deviceId,
      display_name: device.displayName ?? null,
      created_at: now,
    })
    if (!isNew) {
      await deleteTokensOfDevice(tx, user.userNid, deviceId)
      await deletePushersOfDevice(tx, user.userNid, deviceId)
    }
    const chain = device.refreshable === true ? ctx.random.token(16) : undefined
    const tokens = await issueTokens(ctx, tx, { userNid: user.userNid, deviceId, chain })
    return { ...tokens.session, isNewDevice: isNew }
  })
  if (!session.isNewDevice) ctx.invalidations.publish('user', user.userId)
  return session
}

/** What came of a refresh token; the transaction that found out must commit either way. */
type Refreshed =
  | { readonly kind: 'refreshed'; readonly userId: UserId; readonly session: Session }
  /** Used before: its device is logged out. */
  | { readonly kind: 'stolen'; readonly userId: UserId }
  | { readonly kind: 'expired' | 'unknown' }

/**
 * Exchanges a refresh token for new tokens. It stays good until one of the new tokens is used, in case the answer got
 * lost; used after that it has been stolen by somebody, and all tokens of its device end.
 *
 * Spec: Client-Server API, "Refreshing access tokens" (v1.19).
 *
 * @throws MatrixError M_UNKNOWN_TOKEN
 */
export async function refreshSession(ctx: Dependencies, refreshToken: string): Promise<Session> {
  const outcome = await ctx.database.db.transaction().execute((tx) => refreshIn(ctx, tx, refreshToken))
  if (outcome.kind === 'refreshed' || outcome.kind === 'stolen') ctx.invalidations.publish('user', outcome.userId)
  if (outcome.kind === 'refreshed') return outcome.session
  throw new MatrixError('M_UNKNOWN_TOKEN', 'Unknown refresh token', {
    extra: { soft_logout: outcome.kind === 'expired' },
  })
}

async function refreshIn(ctx: Dependencies, tx: Tx, refreshToken: string): Promise<Refreshed> {
  const chain = chainOf(refreshToken)
  const current = await lockRefreshToken(tx, tokenHash(refreshToken))
  if (current === undefined) {
    const forgotten = chain === undefined ? undefined : await findRefreshChain(tx, tokenHash(chain))
    return forgotten === undefined ? { kind: 'unknown' } : endStolen(tx, forgotten)
  }
  if (current.expires_at !== null && current.expires_at <= ctx.clock.now()) return { kind: 'expired' }
  if (current.successor !== null) {
    if (await wasUsed(tx, current.successor)) return endStolen(tx, current)
    await deleteTokenPair(tx, current.successor)
  }
  const next = await issueTokens(ctx, tx, { userNid: current.user_nid, deviceId: current.device_id, chain })
  await setSuccessor(tx, current.refresh_token, next.refreshTokenNid!)
  await deleteOldRefreshTokens(tx, current, current.refresh_token)
  return { kind: 'refreshed', userId: current.user_id as UserId, session: next.session }
}

async function endStolen(tx: Tx, device: { user_nid: number; user_id: string; device_id: string }): Promise<Refreshed> {
  await deleteTokensOfDevice(tx, device.user_nid, device.device_id)
  return { kind: 'stolen', userId: device.user_id as UserId }
}

/** A refresh token is `chr_CHAIN.SECRET`: the chain stays the same through all the tokens of one log-in. */
function chainOf(refreshToken: string): string | undefined {
  return /^chr_([\w-]+)\./.exec(refreshToken)?.[1]
}

/** @param device.chain of the refresh token to issue; without it there is none. */
async function issueTokens(
  ctx: Dependencies,
  tx: Tx,
  device: { userNid: number; deviceId: string; chain: string | undefined },
): Promise<{ session: Session; refreshTokenNid: number | undefined }> {
  const { sessions } = ctx.config
  const now = ctx.clock.now()
  const owner = { user_nid: device.userNid, device_id: device.deviceId, created_at: now }
  const isRefreshable = device.chain !== undefined
  const lifetime = isRefreshable ? sessions.refreshable_token_lifetime_seconds : sessions.token_lifetime_seconds
  const accessToken = `cha_${ctx.random.token(32)}`
  const refreshToken = isRefreshable ? `chr_${device.chain}.${ctx.random.token(32)}` : undefined
  const refreshTokenNid =
    refreshToken === undefined
      ? undefined
      : await insertRefreshToken(tx, {
          ...owner,
          token_hash: tokenHash(refreshToken),
          chain_hash: tokenHash(device.chain!),
          expires_at: after(now, sessions.refresh_token_lifetime_seconds),
        })
  await insertAccessToken(tx, {
    ...owner,
    token_hash: tokenHash(accessToken),
    expires_at: after(now, lifetime),
    refresh_token: refreshTokenNid ?? null,
  })
  const expiresInMs = lifetime === undefined ? undefined : lifetime * 1000
  return { session: { accessToken, deviceId: device.deviceId, refreshToken, expiresInMs }, refreshTokenNid }
}

function after(now: number, seconds: number | undefined): number | null {
  return seconds === undefined ? null : now + seconds * 1000
}

function newDeviceId(ctx: Dependencies): string {
  return [...ctx.random.bytes(10)].map((byte) => deviceIdAlphabet[byte % 26]).join('')
}
