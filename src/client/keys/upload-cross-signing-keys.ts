import { Type } from '@sinclair/typebox'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { checkCrossSigningUpload, uploadCrossSigningKeys as upload } from '../../keys/upload-cross-signing-keys.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { crossSigningReset } from '../../storage/admin-users.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/keys/device_signing/upload` (v1.19). */
export const uploadCrossSigningKeys = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/keys/device_signing/upload', '/_matrix/client/unstable/keys/device_signing/upload'],
  auth: 'user',
  whileSuspended: true,
  body: Type.Object({
    auth: Type.Optional(Type.Unknown()),
    master_key: Type.Optional(Type.Unknown()),
    self_signing_key: Type.Optional(Type.Unknown()),
    user_signing_key: Type.Optional(Type.Unknown()),
  }),
  async handle(ctx, { body, requester }) {
    const keys = checkCrossSigningUpload(requester.userId, body)
    // "This endpoint no longer requires User-Interactive Authentication when used by an application service."
    const isTrusted = requester.deviceId === undefined || (await mayReplaceKeys(ctx, requester.userNid))
    if (await upload(ctx, requester, keys, isTrusted)) return {}
    const outcome = await authenticateInteractively(ctx, {
      operation: 'uploadCrossSigningKeys',
      body: body as JsonObject,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    await upload(ctx, requester, keys, true)
    return {}
  },
})

/** Whether an administrator has let the user replace their keys, as somebody who has lost them has to. */
async function mayReplaceKeys(ctx: Pick<Context, 'database' | 'clock'>, userNid: number): Promise<boolean> {
  const [row] = await ctx.database.read(crossSigningReset, [userNid])
  return (row?.until ?? 0) > ctx.clock.now()
}
