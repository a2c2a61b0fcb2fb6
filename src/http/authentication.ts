import type { IncomingMessage } from 'node:http'
import { type Requester, type TokenOwner, tokenHashOf } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseQueryString, type QueryTexts } from './query-string.ts'

/** Who may call an endpoint. Guests only where the specification lists the endpoint as theirs. */
export type AuthMode = 'none' | 'optional' | 'user' | 'userOrGuest' | 'admin'

/**
 * Says who sent a request, or throws; answers at once when it can.
 *
 * `undefined` is nobody, where nobody is allowed.
 */
export type Authenticate = (
  ctx: Context,
  request: IncomingMessage,
  query: QueryTexts,
) => Requester | undefined | Promise<Requester | undefined>

type Rules = {
  readonly auth: AuthMode
  readonly method: string
  readonly whileLocked?: boolean
  readonly whileSuspended?: boolean
}

/** Spec: Client-Server API, "Client Authentication" (v1.19). */
export function clientAuthentication(rules: Rules): Authenticate {
  if (rules.auth === 'none') return () => undefined
  return (ctx, request, query) => {
    const token = accessTokenOf(ctx, request, query)
    if (token === undefined) {
      if (rules.auth === 'optional') return undefined
      throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    }
    const tokenHash = tokenHashOf(token)
    const service = ctx.applicationServices.ofToken(tokenHash)
    if (service) {
      const as = { userId: query.get('user_id')?.at(-1), deviceId: deviceOf(query) }
      return ctx.applicationServices.actAs(service, as).then((requester) => admit({ requester }, rules))
    }
    const owner = ctx.requesters.ofToken(tokenHash)
    return owner instanceof Promise ? owner.then((found) => admit(found, rules)) : admit(owner, rules)
  }
}

/** Spec: Application Service API, "Identity assertion"; `org.matrix.msc3202.device_id` before that. */
function deviceOf(query: QueryTexts): string | undefined {
  return (query.get('device_id') ?? query.get('org.matrix.msc3202.device_id'))?.at(-1)
}

function admit(owner: TokenOwner, rules: Rules): Requester {
  const { requester } = owner
  if (requester === undefined) {
    throw new MatrixError('M_UNKNOWN_TOKEN', 'Unknown access token', { extra: { soft_logout: owner.softLogout } })
  }
  if (requester.isLocked && rules.whileLocked !== true) {
    throw new MatrixError('M_USER_LOCKED', 'This account has been locked', { extra: { soft_logout: true } })
  }
  if (requester.isSuspended && rules.method !== 'get' && rules.whileSuspended !== true) {
    throw new MatrixError('M_USER_SUSPENDED', 'This account is suspended')
  }
  if (requester.isGuest && (rules.auth === 'user' || rules.auth === 'admin')) {
    throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do this')
  }
  if (rules.auth === 'admin' && !requester.isAdmin) {
    throw new MatrixError('M_FORBIDDEN', 'You are not a server administrator')
  }
  return requester
}

/**
 * The application service that a request comes from, where only one may ask for something: registering and logging in its
 * users.
 *
 * @throws MatrixError M_MISSING_TOKEN, M_UNKNOWN_TOKEN
 */
export function serviceOf(ctx: Context, request: IncomingMessage): NonNullable<Requester['service']> {
  const queryString = /\?(.*)$/.exec(request.url!)?.[1] ?? ''
  const token = accessTokenOf(ctx, request, parseQueryString(queryString))
  if (token === undefined) throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
  const service = ctx.applicationServices.ofToken(tokenHashOf(token))
  if (service) return service
  throw new MatrixError('M_UNKNOWN_TOKEN', 'This is not the token of an application service', {
    extra: { soft_logout: false },
  })
}

/**
 * The one token of a request. Two that differ, in whatever places, are a request that two servers could read
 * differently.
 */
function accessTokenOf(ctx: Context, request: IncomingMessage, query: QueryTexts): string | undefined {
  const header = bearerToken(request)
  const inQuery = query.get('access_token')
  if (inQuery === undefined) return header
  if (inQuery.some((token) => token !== inQuery[0] || (header !== undefined && token !== header))) {
    throw new MatrixError('M_UNKNOWN_TOKEN', 'More than one access token', { extra: { soft_logout: false } })
  }
  if (header !== undefined) return header
  return ctx.config.sessions.allow_query_access_token ? inQuery[0] : undefined
}

/** The token of the Authorization header. @throws MatrixError M_UNKNOWN_TOKEN, M_MISSING_TOKEN */
export function bearerToken(request: IncomingMessage): string | undefined {
  const header = request.headers.authorization
  if (header === undefined) return undefined
  // Node keeps the first of several, so the raw headers must be counted.
  let count = 0
  const raw = request.rawHeaders
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!
    if (name.length === 13 && name.toLowerCase() === 'authorization') count++
  }
  if (count > 1) {
    throw new MatrixError('M_UNKNOWN_TOKEN', 'More than one access token', { extra: { soft_logout: false } })
  }
  if (header.length < 7 || header.slice(0, 7).toLowerCase() !== 'bearer ') {
    throw new MatrixError('M_MISSING_TOKEN', 'The Authorization header must be a Bearer token')
  }
  const token = header.slice(7)
  if (token === '') throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
  return token
}
