import { Type } from '@sinclair/typebox'
import { addMailAddress } from '../../accounts/mail-addresses.ts'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { addressProvedBy, mailOf, takeProofOf } from '../../mail/validations.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { refuseUnlessChangeable } from './threepid.ts'

/**
 * Gives the user an address that a session with this server has proved.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid/add` (v1.19).
 */
export const add3PID = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/3pid/add', '/_matrix/client/r0/account/3pid/add'],
  auth: 'user',
  body: Type.Object({
    auth: Type.Optional(Type.Unknown()),
    client_secret: Type.String({ pattern: '^[0-9a-zA-Z.=_-]{1,255}$' }),
    sid: Type.String({ pattern: '^[0-9a-zA-Z.=_-]{1,255}$' }),
  }),
  async handle(ctx, { body, requester }) {
    mailOf(ctx)
    refuseUnlessChangeable(ctx)
    const outcome = await authenticateInteractively(ctx, {
      operation: 'add3PID',
      body: body as JsonObject,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    const { sid, client_secret: clientSecret } = body
    const isProved = (await addressProvedBy(ctx, 'add', { sid, clientSecret })) !== undefined
    await ctx.database.db.transaction().execute(async (tx) => {
      const proof = isProved ? await takeProofOf(ctx, tx, 'add', sid) : undefined
      if (!proof) throw new MatrixError('M_THREEPID_AUTH_FAILED', 'The address is not confirmed yet, or no longer')
      await addMailAddress(tx, { userNid: requester.userNid, ...proof, now: ctx.clock.now() })
    })
    return {}
  },
})
