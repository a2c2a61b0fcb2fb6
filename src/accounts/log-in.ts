import type { ApplicationService } from '../application-services/registration.ts'
import type { Context } from '../context.ts'
import { parseMailAddress } from '../mail/addresses.ts'
import { MatrixError } from '../matrix/errors.ts'
import { localpartOf, parseUserId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type AccountRow, findAccount, findAccountByNid } from '../storage/accounts.ts'
import { insertOneTimeToken, takeOneTimeToken } from '../storage/one-time-tokens.ts'
import { userOfThreepid } from '../storage/threepids.ts'
import { isPassword } from './passwords.ts'
import { tokenHash } from './sessions.ts'

export type User = { readonly userId: UserId; readonly userNid: number }

/** Whom an identifier names: a user, or who has a mail address. */
export type Named =
  | { readonly userId: UserId; readonly address?: never }
  | { readonly address: string; readonly userId?: never }

/** The same words whatever was wrong, so that nothing tells which user names exist. */
const refused = 'Invalid user name or password'

/**
 * Logs in with a password.
 *
 * Failures count against the name that was tried, whether or not there is such a user, but never lock an account for
 * longer than its bucket takes to fill.
 *
 * @throws MatrixError M_FORBIDDEN, M_USER_DEACTIVATED, M_USER_LOCKED, M_LIMIT_EXCEEDED
 */
export async function logInWithPassword(ctx: Context, named: Named, password: string): Promise<User> {
  const name = named.userId ?? named.address
  await ctx.rateLimits.check('login_failed', name)
  const account = await findNamed(ctx, named)
  const isRight = await isPassword(ctx, password, account?.password_hash ?? null)
  if (!isRight || account === undefined) {
    await ctx.rateLimits.take('login_failed', name)
    if (account !== undefined && account.deactivated_at !== null) {
      throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
    }
    throw new MatrixError('M_FORBIDDEN', refused)
  }
  return admit(ctx, account)
}

/**
 * Logs in with a login token, which is good once.
 *
 * @throws MatrixError M_FORBIDDEN, M_USER_DEACTIVATED, M_USER_LOCKED, M_LIMIT_EXCEEDED
 */
export async function logInWithToken(ctx: Context, token: string): Promise<User> {
  const taken = await takeOneTimeToken(ctx.database.db, {
    kind: 'login',
    token_hash: tokenHash(token),
    now: ctx.clock.now(),
  })
  const account =
    taken === undefined || taken.user_nid === null ? undefined : await findAccountByNid(ctx.database.db, taken.user_nid)
  if (account === undefined) throw new MatrixError('M_FORBIDDEN', 'Invalid login token')
  return admit(ctx, account)
}

/**
 * Logs in a user of an application service.
 *
 * Spec: Application Service API, "Server admin style permissions" (v1.19).
 *
 * @throws MatrixError M_EXCLUSIVE for a user outside of its namespaces; M_FORBIDDEN, M_USER_DEACTIVATED, M_USER_LOCKED
 */
export async function logInForService(ctx: Context, service: ApplicationService, userId: UserId): Promise<User> {
  if (!ctx.applicationServices.isUserOf(service, userId)) {
    throw new MatrixError('M_EXCLUSIVE', 'This user is not in a namespace of the application service')
  }
  const account = await findAccount(ctx.database.db, userId)
  if (account === undefined)
    throw new MatrixError('M_FORBIDDEN', 'The application service has not registered this user')
  refuseClosed(account)
  return { userId: account.user_id, userNid: account.user_nid }
}

/** Gives a user a token with which another device can log in once. */
export async function createLoginToken(ctx: Context, user: User): Promise<{ token: string; expiresInMs: number }> {
  const token = `chl_${ctx.random.token(32)}`
  const expiresInMs = ctx.config.sessions.login_token_lifetime_seconds * 1000
  await insertOneTimeToken(ctx.database.db, {
    kind: 'login',
    token_hash: tokenHash(token),
    user_nid: user.userNid,
    expires_at: ctx.clock.now() + expiresInMs,
  })
  return { token, expiresInMs }
}

/**
 * Checks the `m.login.password` stage of somebody who is logged in: it must be their own name and password.
 *
 * @throws MatrixError M_FORBIDDEN for the name of another user; M_LIMIT_EXCEEDED
 */
export async function checkOwnPassword(ctx: Context, user: User, auth: JsonObject): Promise<boolean> {
  await ctx.rateLimits.check('login_failed', user.userId)
  const named = namedBy(auth, serverNameOf(user.userId))
  const account = await findAccount(ctx.database.db, user.userId)
  const [owner] = named?.address === undefined ? [] : await ctx.database.read(userOfThreepid, ['email', named.address])
  const isOwn = (named?.userId ?? owner?.user_id)?.toLowerCase() === user.userId.toLowerCase()
  if (named !== undefined && !isOwn) throw new MatrixError('M_FORBIDDEN', 'This is not for another user to confirm')
  const password = typeof auth.password === 'string' ? auth.password : ''
  if ((await isPassword(ctx, password, account?.password_hash ?? null)) && isOwn) return true
  await ctx.rateLimits.take('login_failed', user.userId)
  return false
}

/**
 * The user that an identifier names: a localpart, or a whole user id. Also in its older form, as `user` beside it.
 *
 * Spec: Client-Server API, "Identifier types" (v1.19).
 */
export function userIdOf(auth: JsonObject, domain: string): UserId | undefined {
  const identifier = auth.identifier
  let user: unknown = auth.user
  if (typeof identifier === 'object' && identifier !== null && !Array.isArray(identifier)) {
    const typed = identifier as JsonObject
    if (typed.type !== 'm.id.user') return undefined
    user = typed.user
  }
  if (typeof user !== 'string') return undefined
  return parseUserId(user.startsWith('@') ? user : `@${user}:${domain}`)
}

/**
 * Whom an identifier names, also by a mail address and in the older form of that, beside it.
 *
 * Spec: Client-Server API, "Identifier types" (v1.19).
 *
 * @throws MatrixError M_THREEPID_MEDIUM_NOT_SUPPORTED for a telephone number.
 */
export function namedBy(auth: JsonObject, domain: string): Named | undefined {
  const userId = userIdOf(auth, domain)
  if (userId !== undefined) return { userId }
  const { identifier } = auth
  const isObject = typeof identifier === 'object' && identifier !== null && !Array.isArray(identifier)
  const named = isObject ? (identifier as JsonObject) : auth
  if (isObject && named.type === 'm.id.phone') refusePhone()
  if (isObject && named.type !== 'm.id.thirdparty') return undefined
  if (named.medium === 'msisdn') refusePhone()
  if (named.medium !== 'email' || typeof named.address !== 'string') return undefined
  const address = parseMailAddress(named.address)
  return address === undefined ? undefined : { address }
}

function refusePhone(): never {
  throw new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', 'Telephone numbers are not supported here')
}

async function findNamed(ctx: Context, named: Named): Promise<AccountRow | undefined> {
  if (named.userId !== undefined) return findAccountCaseless(ctx, named.userId)
  const [owner] = await ctx.database.read(userOfThreepid, ['email', named.address])
  return owner && findAccountByNid(ctx.database.db, owner.user_nid)
}

/** Names are made in lower case, but people type them otherwise; older accounts may have capitals. */
async function findAccountCaseless(ctx: Context, userId: UserId): Promise<AccountRow | undefined> {
  if (!ctx.domains.isLocal(serverNameOf(userId))) return undefined
  const exact = await findAccount(ctx.database.db, userId)
  if (exact !== undefined || localpartOf(userId) === localpartOf(userId).toLowerCase()) return exact
  return findAccount(ctx.database.db, `@${localpartOf(userId).toLowerCase()}:${serverNameOf(userId)}`)
}

function refuseClosed(account: AccountRow): void {
  if (account.deactivated_at !== null) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
  if (account.locked) {
    throw new MatrixError('M_USER_LOCKED', 'This account has been locked', { extra: { soft_logout: true } })
  }
}

async function admit(ctx: Context, account: AccountRow): Promise<User> {
  refuseClosed(account)
  await ctx.rateLimits.take('login_account', account.user_id)
  return { userId: account.user_id, userNid: account.user_nid }
}
