import { Type } from '@sinclair/typebox'
import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import { removeDevices } from '../../devices/remove-devices.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { name } from '../text.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/delete_devices` (v1.19). */
export const deleteDevices = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/delete_devices', '/_matrix/client/r0/delete_devices'],
  auth: 'user',
  whileSuspended: true,
  body: Type.Object({ auth: Type.Optional(Type.Unknown()), devices: Type.Array(name) }),
  async handle(ctx, { body, requester }) {
    const outcome = await authenticateInteractively(ctx, {
      operation: 'deleteDevices',
      body: body as JsonObject,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    await removeDevices(ctx, requester, { only: body.devices })
    return {}
  },
})
