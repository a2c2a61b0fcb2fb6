import { type Static, Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { languageOf } from '../../mail/languages.ts'
import { requestValidation, type ValidationWish } from '../../mail/validations.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { refuseUnlessChangeable } from './threepid.ts'

/** Spec: Client-Server API, `definitions/request_email_validation` (v1.19). */
const body = Type.Object({
  client_secret: Type.String({ pattern: '^[0-9a-zA-Z.=_-]{1,255}$' }),
  email: Type.String({ maxLength: 1000 }),
  send_attempt: Type.Integer({ minimum: 0, maximum: 2_147_483_647 }),
  next_link: Type.Optional(Type.Union([Type.String({ maxLength: 2000 }), Type.Null()])),
})

type Request = { readonly body: Static<typeof body>; readonly domain: string; readonly request: { headers: Headers } }
type Headers = { readonly 'accept-language'?: string | undefined }

const rateLimit = { kind: 'mail_requests', by: 'address' } as const

async function request(ctx: Context, purpose: ValidationWish['purpose'], { body, domain, request }: Request) {
  const sid = await requestValidation(ctx, {
    purpose,
    email: body.email,
    clientSecret: body.client_secret,
    sendAttempt: body.send_attempt,
    nextLink: body.next_link ?? undefined,
    language: languageOf(request.headers['accept-language'], ctx.config.mail.default_language),
    domain,
  })
  return { sid }
}

/** Spec: Client-Server API, `POST /_matrix/client/v3/register/email/requestToken` (v1.19). */
export const requestTokenToRegisterEmail = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/register/email/requestToken', '/_matrix/client/r0/register/email/requestToken'],
  auth: 'none',
  rateLimit,
  body,
  async handle(ctx, call) {
    if (ctx.config.registration.mode === 'closed') {
      throw new MatrixError('M_FORBIDDEN', 'Registration is closed on this server')
    }
    return request(ctx, 'register', call)
  },
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/password/email/requestToken` (v1.19). */
export const requestTokenToResetPasswordEmail = endpoint({
  method: 'post',
  path: [
    '/_matrix/client/v3/account/password/email/requestToken',
    '/_matrix/client/r0/account/password/email/requestToken',
  ],
  auth: 'none',
  rateLimit,
  body,
  async handle(ctx, call) {
    if (!ctx.config.passwords.enabled) throw new MatrixError('M_FORBIDDEN', 'Passwords are switched off on this server')
    return request(ctx, 'password', call)
  },
})

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid/email/requestToken` (v1.19). */
export const requestTokenTo3PIDEmail = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/3pid/email/requestToken', '/_matrix/client/r0/account/3pid/email/requestToken'],
  auth: 'none',
  rateLimit,
  body,
  async handle(ctx, call) {
    refuseUnlessChangeable(ctx)
    return request(ctx, 'add', call)
  },
})

/** No messages are sent to telephones. */
function refusePhones(path: string) {
  return endpoint({
    method: 'post',
    path: [`/_matrix/client/v3${path}`, `/_matrix/client/r0${path}`],
    auth: 'none',
    body: Type.Object({}),
    handle() {
      throw new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', 'Telephone numbers are not supported here')
    },
  })
}

/** Spec: Client-Server API, `POST /_matrix/client/v3/register/msisdn/requestToken` (v1.19). */
export const requestTokenToRegisterMSISDN = refusePhones('/register/msisdn/requestToken')
/** Spec: Client-Server API, `POST /_matrix/client/v3/account/password/msisdn/requestToken` (v1.19). */
export const requestTokenToResetPasswordMSISDN = refusePhones('/account/password/msisdn/requestToken')
/** Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid/msisdn/requestToken` (v1.19). */
export const requestTokenTo3PIDMSISDN = refusePhones('/account/3pid/msisdn/requestToken')
