import { type Static, Type } from '@sinclair/typebox'
import type { Request } from 'express'
import {
  logInForService,
  logInWithPassword,
  logInWithToken,
  type Named,
  namedBy,
  type User,
  userIdOf,
} from '../../accounts/log-in.ts'
import { openSession } from '../../accounts/sessions.ts'
import type { Context } from '../../context.ts'
import { serviceOf } from '../../http/authentication.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type ServerName, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { name, shortText } from '../text.ts'
import { sessionAnswer } from './session-answer.ts'

const body = Type.Object({
  type: Type.String(),
  identifier: Type.Optional(
    Type.Object({
      type: Type.String(),
      user: Type.Optional(Type.String()),
      medium: Type.Optional(Type.String()),
      address: Type.Optional(Type.String({ maxLength: 1000 })),
    }),
  ),
  user: Type.Optional(Type.String()),
  medium: Type.Optional(Type.String()),
  address: Type.Optional(Type.String({ maxLength: 1000 })),
  password: Type.Optional(Type.String()),
  token: Type.Optional(Type.String()),
  device_id: Type.Optional(name),
  initial_device_display_name: Type.Optional(shortText),
  refresh_token: Type.Optional(Type.Boolean()),
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/login` (v1.19). */
export const login = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/login', '/_matrix/client/r0/login'],
  auth: 'none',
  rateLimit: { kind: 'login_address', by: 'address' },
  body,
  async handle(ctx, { body, domain, request }) {
    const user = await authenticate(ctx, body, domain, request)
    const session = await openSession(ctx, user, {
      deviceId: body.device_id,
      displayName: body.initial_device_display_name,
      refreshable: body.refresh_token,
    })
    const userDomain = serverNameOf(user.userId)
    const isPublic = ctx.config.domains.some((one) => one.name === userDomain && one.public_baseurl !== undefined)
    return {
      ...sessionAnswer({ userId: user.userId, domain: userDomain }, session),
      ...(isPublic && { well_known: { 'm.homeserver': { base_url: ctx.domains.baseUrlOf(userDomain) } } }),
    }
  },
})

async function authenticate(ctx: Context, body: LoginBody, domain: ServerName, request: Request): Promise<User> {
  switch (body.type) {
    case 'm.login.password': {
      if (!ctx.config.passwords.enabled) break
      if (body.password === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: password')
      return logInWithPassword(ctx, named(body, domain), body.password)
    }
    case 'm.login.token':
      if (!ctx.config.sessions.login_token_enabled) break
      if (body.token === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: token')
      return logInWithToken(ctx, body.token)
    case 'm.login.application_service':
      return logInForService(ctx, serviceOf(ctx, request), namedUser(body, domain))
  }
  throw new MatrixError('M_UNKNOWN', 'This login type is not supported', { status: 400 })
}

function named(body: LoginBody, domain: ServerName): Named {
  return namedBy(body, domain) ?? { userId: namedUser(body, domain) }
}

function namedUser(body: LoginBody, domain: ServerName): UserId {
  const userId = userIdOf(body, domain)
  if (userId !== undefined) return userId
  const isGiven = body.identifier !== undefined || body.user !== undefined || body.address !== undefined
  throw new MatrixError(isGiven ? 'M_INVALID_PARAM' : 'M_MISSING_PARAM', 'The identifier must name a user')
}

type LoginBody = Static<typeof body>
