import { Type } from '@sinclair/typebox'
import { checkUserIdFree, createAccount, newUserId, unusedNumericUserId } from '../../accounts/create-account.ts'
import { checkPasswordPolicy } from '../../accounts/passwords.ts'
import { tokenHashOf } from '../../accounts/requesters.ts'
import { openSession } from '../../accounts/sessions.ts'
import { authenticateInteractively, type Guarded, type Stage } from '../../accounts/user-interactive-auth.ts'
import type { Config } from '../../config.ts'
import type { Context } from '../../context.ts'
import { serviceOf } from '../../http/authentication.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { ServerName, UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { sessionAnswer } from '../session/session-answer.ts'
import { name, shortText } from '../text.ts'
import { registerForService } from './register-for-service.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/register` (v1.19). */
export const register = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/register', '/_matrix/client/r0/register'],
  auth: 'none',
  query: Type.Object({ kind: Type.Optional(Type.Union([Type.Literal('user'), Type.Literal('guest')])) }),
  body: Type.Object({
    auth: Type.Optional(Type.Unknown()),
    type: Type.Optional(Type.String()),
    username: Type.Optional(shortText),
    password: Type.Optional(Type.String()),
    device_id: Type.Optional(name),
    initial_device_display_name: Type.Optional(shortText),
    inhibit_login: Type.Optional(Type.Boolean()),
    refresh_token: Type.Optional(Type.Boolean()),
    guest_access_token: Type.Optional(Type.String()),
  }),
  async handle(ctx, { query, body, domain, address, request }) {
    if (query.kind === 'guest') return registerGuest(ctx, domain, address, body.initial_device_display_name)
    if (body.type === 'm.login.application_service') {
      return registerForService(ctx, serviceOf(ctx, request), domain, body)
    }
    const { registration, passwords } = ctx.config
    if (registration.mode === 'closed' || !passwords.enabled) {
      throw new MatrixError('M_FORBIDDEN', 'Registration is closed on this server')
    }
    await ctx.rateLimits.check('registration', address)
    const { guest_access_token: guestToken } = body
    const wanted = body.username === undefined ? undefined : newUserId(ctx, body.username, domain)
    if (wanted !== undefined) {
      ctx.applicationServices.checkUser(wanted, undefined)
      if (guestToken === undefined) await checkUserIdFree(ctx, wanted)
    }
    if (guestToken !== undefined) await checkGuest(ctx, guestToken, wanted)
    if (body.password !== undefined) checkPasswordPolicy(ctx.config, body.password)
    const outcome = await authenticateInteractively(ctx, registrationGuard(ctx, domain, body as JsonObject))
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    await ctx.rateLimits.take('registration', address)
    if (body.password === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: password')
    const userId: UserId = wanted ?? (await unusedNumericUserId(ctx, domain))
    const { userNid } = await createAccount(ctx, {
      userId,
      password: body.password,
      wasGuest: guestToken !== undefined,
      registrationToken: outcome.registrationToken,
      mail: outcome.mail,
      ...(outcome.completed.includes('m.login.terms') && { termsVersion: registration.terms.version }),
    })
    if (body.inhibit_login === true) return { user_id: userId, home_server: domain }
    const session = await openSession(
      ctx,
      { userId, userNid },
      {
        deviceId: body.device_id,
        displayName: body.initial_device_display_name,
        refreshable: body.refresh_token,
      },
    )
    return sessionAnswer({ userId, domain }, session)
  },
})

/**
 * Spec: Client-Server API, "Guest Access": guests become users with `guest_access_token` and their own name.
 *
 * @throws MatrixError M_MISSING_PARAM, M_FORBIDDEN
 */
async function checkGuest(ctx: Context, token: string, wanted: UserId | undefined): Promise<void> {
  if (wanted === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: username')
  const { requester } = await ctx.requesters.ofToken(tokenHashOf(token))
  if (requester?.isGuest !== true || requester.userId !== wanted) {
    throw new MatrixError('M_FORBIDDEN', 'This is not the token of the guest of that name')
  }
}

function registrationGuard(ctx: Context, domain: ServerName, body: JsonObject): Guarded {
  const { registration } = ctx.config
  const hasTerms = registration.terms.url !== undefined
  return {
    operation: `register ${domain}`,
    body,
    binds: 'operation',
    mailPurpose: 'register',
    flows: registrationFlows(ctx),
    params: hasTerms ? { 'm.login.terms': termsParams(registration.terms) } : {},
  }
}

function registrationFlows({ config, mail }: Pick<Context, 'config' | 'mail'>): Stage[][] {
  const { mode, terms } = config.registration
  const always: Stage[] = [
    ...(mode === 'token' ? (['m.login.registration_token'] as const) : []),
    ...(terms.url === undefined ? [] : (['m.login.terms'] as const)),
  ]
  if (!mail) return [mode === 'token' ? always : ['m.login.dummy', ...always]]
  const withMail: Stage[] = [...always, 'm.login.email.identity']
  // The stage that does nothing is what the flows differ in: neither is complete on the way through the other.
  return config.mail.required_to_register ? [withMail] : [[...always, 'm.login.dummy'], withMail]
}

/** Spec: Client-Server API, "Terms of service at registration" (v1.19). */
function termsParams(terms: Config['registration']['terms']): JsonObject {
  return { policies: { terms_of_service: { version: terms.version, en: { name: terms.name, url: terms.url ?? '' } } } }
}

async function registerGuest(
  ctx: Context,
  domain: ServerName,
  address: string,
  displayName: string | undefined,
): Promise<JsonObject> {
  if (!ctx.config.registration.allow_guests) {
    throw new MatrixError('M_FORBIDDEN', 'Guest access is switched off on this server')
  }
  await ctx.rateLimits.take('registration', address)
  const userId = await unusedNumericUserId(ctx, domain, 'guest-')
  const { userNid } = await createAccount(ctx, { userId, isGuest: true })
  return sessionAnswer({ userId, domain }, await openSession(ctx, { userId, userNid }, { displayName }))
}
