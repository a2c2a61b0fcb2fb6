import { hash } from 'node:crypto'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import {
  deleteOldRefreshTokens,
  deleteTokenPair,
  deleteTokensOfDevice,
  insertAccessToken,
  insertRefreshToken,
  lockRefreshToken,
  type RefreshTokenRow,
  setSuccessor,
  wasUsed,
} from '../storage/access-tokens.ts'
import type { Tx } from '../storage/database.ts'
import { upsertDevice } from '../storage/devices.ts'

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
    if (!isNew) await deleteTokensOfDevice(tx, user.userNid, deviceId)
    const tokens = await issueTokens(ctx, tx, user.userNid, deviceId, device.refreshable === true)
    return { ...tokens.session, isNewDevice: isNew }
  })
  if (!session.isNewDevice) ctx.invalidations.publish('user', user.userId)
  return session
}

/**
 * Exchanges a refresh token for new tokens. It stays good until one of the new tokens is used, in case the answer got
 * lost; used after that it has been stolen by somebody, and all tokens of its device end.
 *
 * Spec: Client-Server API, "Refreshing access tokens" (v1.19).
 *
 * @throws MatrixError M_UNKNOWN_TOKEN
 */
export async function refreshSession(ctx: Dependencies, refreshToken: string): Promise<Session> {
  const outcome = await ctx.database.db.transaction().execute(async (tx) => {
    const current = await lockRefreshToken(tx, tokenHash(refreshToken))
    if (current === undefined) return { refused: false as const, userId: undefined, session: undefined }
    if (current.expires_at !== null && current.expires_at <= ctx.clock.now()) {
      return { refused: true as const, userId: undefined, session: undefined }
    }
    const userId = current.user_id as UserId
    if (current.successor !== null) {
      if (await wasUsed(tx, current.successor)) {
        await deleteTokensOfDevice(tx, current.user_nid, current.device_id)
        return { refused: false as const, userId, session: undefined }
      }
      await deleteTokenPair(tx, current.successor)
    }
    return { refused: false as const, userId, session: await succeed(ctx, tx, current) }
  })
  if (outcome.userId !== undefined) ctx.invalidations.publish('user', outcome.userId)
  if (outcome.session !== undefined) return outcome.session
  throw new MatrixError('M_UNKNOWN_TOKEN', 'Unknown refresh token', { extra: { soft_logout: outcome.refused } })
}

async function succeed(ctx: Dependencies, tx: Tx, current: RefreshTokenRow): Promise<Session> {
  const { session, refreshTokenNid } = await issueTokens(ctx, tx, current.user_nid, current.device_id, true)
  await setSuccessor(tx, current.refresh_token, refreshTokenNid!)
  await deleteOldRefreshTokens(tx, current, current.refresh_token)
  return session
}

async function issueTokens(
  ctx: Dependencies,
  tx: Tx,
  userNid: number,
  deviceId: string,
  refreshable: boolean,
): Promise<{ session: Session; refreshTokenNid: number | undefined }> {
  const { sessions } = ctx.config
  const now = ctx.clock.now()
  const owner = { user_nid: userNid, device_id: deviceId, created_at: now }
  const lifetime = refreshable ? sessions.refreshable_token_lifetime_seconds : sessions.token_lifetime_seconds
  const accessToken = `cha_${ctx.random.token(32)}`
  const refreshToken = refreshable ? `chr_${ctx.random.token(32)}` : undefined
  const refreshTokenNid =
    refreshToken === undefined
      ? undefined
      : await insertRefreshToken(tx, {
          ...owner,
          token_hash: tokenHash(refreshToken),
          expires_at: after(now, sessions.refresh_token_lifetime_seconds),
        })
  await insertAccessToken(tx, {
    ...owner,
    token_hash: tokenHash(accessToken),
    expires_at: after(now, lifetime),
    refresh_token: refreshTokenNid ?? null,
  })
  const expiresInMs = lifetime === undefined ? undefined : lifetime * 1000
  return { session: { accessToken, deviceId, refreshToken, expiresInMs }, refreshTokenNid }
}

function after(now: number, seconds: number | undefined): number | null {
  return seconds === undefined ? null : now + seconds * 1000
}

function newDeviceId(ctx: Dependencies): string {
  return [...ctx.random.bytes(10)].map((byte) => deviceIdAlphabet[byte % 26]).join('')
}
