import { removeDevices } from '../../devices/remove-devices.ts'
import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/logout` (v1.19). */
export const logout = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/logout', '/_matrix/client/r0/logout'],
  auth: 'userOrGuest',
  whileLocked: true,
  whileSuspended: true,
  async handle(ctx, { requester }) {
    if (requester.deviceId !== undefined) await removeDevices(ctx, requester, { only: [requester.deviceId] })
    return {}
  },
})
