import { authenticateInteractively } from '../../accounts/user-interactive-auth.ts'
import { removeDevices } from '../../devices/remove-devices.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { anyObject } from '../../http/validation.ts'

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/devices/{deviceId}` (v1.19). */
export const deleteDevice = endpoint({
  method: 'delete',
  path: ['/_matrix/client/v3/devices/{deviceId}', '/_matrix/client/r0/devices/{deviceId}'],
  auth: 'user',
  whileSuspended: true,
  body: anyObject,
  async handle(ctx, { params, body, requester }) {
    const outcome = await authenticateInteractively(ctx, {
      operation: `deleteDevice ${params.deviceId}`,
      body,
      binds: 'body',
      flows: [['m.login.password']],
      user: requester,
    })
    if (!outcome.complete) return reply(outcome.challenge, { status: 401 })
    await removeDevices(ctx, requester, { only: [params.deviceId] })
    return {}
  },
})
