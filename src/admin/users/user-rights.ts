import { Type } from '@sinclair/typebox'
import { openSession } from '../../accounts/sessions.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { expireTokensOfDevice } from '../../storage/access-tokens.ts'
import { allowCrossSigningReset, hasMasterKey, messageLimitOf, updateMessageLimit } from '../../storage/admin-users.ts'
import { localAccount } from '../local-account.ts'

const params = { userId: parseUserId }

/**
 * A token with which an administrator acts as a user. It belongs to a device that the user sees in their list, under a name
 * that says what it is.
 */
export const logInAsUser = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/users/{userId}/login',
  auth: 'admin',
  params,
  body: Type.Object({ valid_until_ms: Type.Optional(Type.Integer()) }),
  async handle(ctx, { params, body, requester }) {
    if (params.userId === requester.userId) {
      throw new MatrixError('M_INVALID_PARAM', 'Administrators log in as themselves with their password')
    }
    const account = await localAccount(ctx, params.userId)
    if (account.deactivated_at !== null)
      throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
    const session = await openSession(ctx, account, { displayName: `Administrator ${requester.userId}` })
    if (body.valid_until_ms !== undefined) {
      await expireTokensOfDevice(ctx.database.db, account.userNid, session.deviceId, body.valid_until_ms)
    }
    return { access_token: session.accessToken }
  },
})

const limitPath = '/_synapse/admin/v1/users/{userId}/override_ratelimit'

export const getRateLimit = endpoint({
  method: 'get',
  path: limitPath,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const row = await messageLimitOf(ctx.database.db, account.userNid)
    if (row.messages_per_second === null) return {}
    return { messages_per_second: row.messages_per_second, burst_count: row.messages_burst_count }
  },
})

/** Sets how often a user may send, in place of `rate_limits.message`; 0 per second is without any limit. */
export const setRateLimit = endpoint({
  method: 'post',
  path: limitPath,
  auth: 'admin',
  params,
  body: Type.Object({
    messages_per_second: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    burst_count: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
  }),
  async handle(ctx, { params, body }) {
    const account = await localAccount(ctx, params.userId)
    const { messages_per_second = 0, burst_count = 0 } = body
    const limit = { messages_per_second, messages_burst_count: burst_count }
    await updateMessageLimit(ctx.database.db, account.userNid, limit)
    ctx.invalidations.publish('user', account.userId)
    return { messages_per_second, burst_count }
  },
})

export const deleteRateLimit = endpoint({
  method: 'delete',
  path: limitPath,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    await updateMessageLimit(ctx.database.db, account.userNid, null)
    ctx.invalidations.publish('user', account.userId)
    return {}
  },
})

/** Milliseconds. */
const resetLifetime = 10 * 60_000

export const allowCrossSigningReplacement = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/users/{userId}/_allow_cross_signing_replacement_without_uia',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const [key] = await ctx.database.read(hasMasterKey, [account.userNid])
    if (!key) throw new MatrixError('M_NOT_FOUND', 'The user has no cross-signing keys')
    const until = ctx.clock.now() + resetLifetime
    await allowCrossSigningReset(ctx.database.db, account.userNid, until)
    return { updatable_without_uia_before_ms: until }
  },
})
