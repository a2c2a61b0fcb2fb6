import { Type } from '@sinclair/typebox'
import { changePassword as setNewPassword } from '../../accounts/change-password.ts'
import type { User } from '../../accounts/log-in.ts'
import { checkPasswordPolicy } from '../../accounts/passwords.ts'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { JsonObject } from '../../matrix/json.ts'
import type { ProvedAddress } from '../../storage/mail-validations.ts'
import { userOfThreepid } from '../../storage/threepids.ts'

/**
 * Of who is logged in, and who knows the password; or of who reads the mail of an address of theirs.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/account/password` (v1.19).
 */
export const changePassword = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/password', '/_matrix/client/r0/account/password'],
  auth: 'optional',
  whileSuspended: true,
  body: Type.Object({
    auth: Type.Optional(Type.Unknown()),
    new_password: Type.Optional(Type.String()),
    logout_devices: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { body, requester }) {
    if (!ctx.config.passwords.enabled) throw new MatrixError('M_FORBIDDEN', 'Passwords are switched off on this server')
    if (body.new_password !== undefined) checkPasswordPolicy(ctx.config, body.new_password)
    if (requester?.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests have no password')
    if (!requester && !ctx.mail) {
      throw new MatrixError('M_MISSING_TOKEN', 'Missing access token', { extra: { flows: [] } })
    }
    const outcome = await authenticateInteractively(ctx, {
      operation: 'changePassword',
      body: body as JsonObject,
      binds: 'body',
      ...(requester
        ? { flows: [['m.login.password']], user: requester }
        : { flows: [['m.login.email.identity']], mailPurpose: 'password' }),
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    if (body.new_password === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: new_password')
    await setNewPassword(ctx, requester ?? (await ownerOf(ctx, outcome.mail)), body.new_password, {
      logOutOthers: body.logout_devices !== false,
      keepDevice: requester?.deviceId,
    })
    return {}
  },
})

/** Who has the address now, whoever had it when the mail was asked for. */
async function ownerOf(ctx: Pick<Context, 'database'>, mail: ProvedAddress | undefined): Promise<User> {
  const [owner] = mail === undefined ? [] : await ctx.database.read(userOfThreepid, ['email', mail.address])
  if (!owner || owner.deactivated_at !== null) {
    throw new MatrixError('M_THREEPID_NOT_FOUND', 'No account has this address')
  }
  return { userId: owner.user_id, userNid: owner.user_nid }
}
