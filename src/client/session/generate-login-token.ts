import { createLoginToken } from '../../accounts/log-in.ts'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { anyObject } from '../../http/validation.ts'
import { MatrixError } from '../../matrix/errors.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v1/login/get_token` (v1.19). */
export const generateLoginToken = endpoint({
  method: 'post',
  path: '/_matrix/client/v1/login/get_token',
  auth: 'user',
  rateLimit: { kind: 'login_account', by: 'user' },
  whileSuspended: true,
  body: anyObject,
  async handle(ctx, { body, requester }) {
    if (!ctx.config.sessions.login_token_enabled)
      throw new MatrixError('M_UNRECOGNIZED', 'Login tokens are switched off')
    const outcome = await authenticateInteractively(ctx, {
      operation: 'generateLoginToken',
      body,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    const { token, expiresInMs } = await createLoginToken(ctx, requester)
    return { login_token: token, expires_in_ms: expiresInMs }
  },
})
