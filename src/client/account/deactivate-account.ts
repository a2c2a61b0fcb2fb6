import { Type } from '@sinclair/typebox'
import { deactivateAccount as deactivate } from '../../accounts/deactivate-account.ts'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { unbindAll } from '../../identity-servers/binds.ts'
import type { JsonObject } from '../../matrix/json.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/account/deactivate` (v1.19). */
export const deactivateAccount = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/deactivate', '/_matrix/client/r0/account/deactivate'],
  auth: 'user',
  whileSuspended: true,
  body: Type.Object({ auth: Type.Optional(Type.Unknown()), erase: Type.Optional(Type.Boolean()) }),
  async handle(ctx, { body, requester }) {
    const outcome = await authenticateInteractively(ctx, {
      operation: 'deactivateAccount',
      body: body as JsonObject,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    const result = await unbindAll(ctx, requester)
    await deactivate(ctx, requester, { erase: body.erase === true })
    return { id_server_unbind_result: result }
  },
})
