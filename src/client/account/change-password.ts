import { Type } from '@sinclair/typebox'
import { changePassword as setNewPassword } from '../../accounts/change-password.ts'
import { checkPasswordPolicy } from '../../accounts/passwords.ts'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { JsonObject } from '../../matrix/json.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/password` (v1.19). */
export const changePassword = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/password', '/_matrix/client/r0/account/password'],
  auth: 'user',
  whileSuspended: true,
  body: Type.Object({
    auth: Type.Optional(Type.Unknown()),
    new_password: Type.Optional(Type.String()),
    logout_devices: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { body, requester }) {
    if (!ctx.config.passwords.enabled) throw new MatrixError('M_FORBIDDEN', 'Passwords are switched off on this server')
    if (body.new_password !== undefined) checkPasswordPolicy(ctx.config, body.new_password)
    const outcome = await authenticateInteractively(ctx, {
      operation: 'changePassword',
      body: body as JsonObject,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    if (body.new_password === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: new_password')
    await setNewPassword(ctx, requester, body.new_password, {
      logOutOthers: body.logout_devices !== false,
      keepDevice: requester.deviceId,
    })
    return {}
  },
})
