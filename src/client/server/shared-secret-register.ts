import { createHmac, timingSafeEqual } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { createAccount, newUserId } from '../../accounts/create-account.ts'
import { openSession, tokenHash } from '../../accounts/sessions.ts'
import type { Config } from '../../config.ts'
import { auditAct } from '../../http/audited.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { deleteExpiredOneTimeTokens, insertOneTimeToken, takeOneTimeToken } from '../../storage/one-time-tokens.ts'
import { sessionAnswer } from '../session/session-answer.ts'
import { shortText } from '../text.ts'

const path = '/_synapse/admin/v1/register'
const nonceLifetime = 60_000

function when(config: Config): boolean {
  return config.registration.shared_secret !== undefined
}

/**
 * The way by which the ecosystem's tools register users: they prove that they know a secret of the configuration. Not
 * part of the specification; the form is Synapse's. Without the secret there is no such endpoint.
 */
export const getSharedSecretNonce = endpoint({
  method: 'get',
  when,
  path,
  auth: 'none',
  async handle(ctx) {
    const nonce = ctx.random.bytes(32).toString('hex')
    const now = ctx.clock.now()
    await deleteExpiredOneTimeTokens(ctx.database.db, now)
    await insertOneTimeToken(ctx.database.db, {
      kind: 'nonce',
      token_hash: tokenHash(nonce),
      user_nid: null,
      expires_at: now + nonceLifetime,
    })
    return { nonce }
  },
})

export const registerWithSharedSecret = endpoint({
  method: 'post',
  when,
  path,
  auth: 'none',
  body: Type.Object({
    nonce: Type.String(),
    username: shortText,
    password: Type.String({ minLength: 1, maxLength: 512 }),
    mac: Type.String(),
    admin: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
    user_type: Type.Optional(Type.Null()),
    displayname: Type.Optional(Type.Union([Type.String({ maxLength: 256 }), Type.Null()])),
    refresh_token: Type.Optional(Type.Boolean()),
    inhibit_login: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { body, domain, address }) {
    const taken = await takeOneTimeToken(ctx.database.db, {
      kind: 'nonce',
      token_hash: tokenHash(body.nonce),
      now: ctx.clock.now(),
    })
    if (taken === undefined) throw new MatrixError('M_UNKNOWN', 'Unrecognised nonce', { status: 400 })
    const isAdmin = body.admin === true
    const proven = [body.nonce, body.username, body.password, isAdmin ? 'admin' : 'notadmin'].join('\0')
    const expected = createHmac('sha1', ctx.config.registration.shared_secret!).update(proven).digest()
    const given = Buffer.from(body.mac, 'hex')
    const isProven = given.length === expected.length && timingSafeEqual(given, expected)
    if (!isProven) await ctx.rateLimits.take('admin_refused', address)
    const details = JSON.stringify({ admin: isAdmin })
    const act = { actor: null, address, operation: `POST ${path}`, target: body.username, details }
    const { userId, userNid } = await auditAct(ctx, act, async () => {
      if (!isProven) throw new MatrixError('M_FORBIDDEN', 'HMAC incorrect')
      const userId = newUserId(ctx, body.username, domain)
      const displayName = typeof body.displayname === 'string' ? { displayName: body.displayname } : {}
      return { userId, ...(await createAccount(ctx, { userId, password: body.password, isAdmin, ...displayName })) }
    })
    if (body.inhibit_login === true) return { user_id: userId, home_server: domain }
    const session = await openSession(ctx, { userId, userNid }, { refreshable: body.refresh_token })
    return sessionAnswer({ userId, domain }, session)
  },
})
