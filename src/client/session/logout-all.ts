import { removeDevices } from '../../devices/remove-devices.ts'
import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/logout/all` (v1.19). */
export const logoutAll = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/logout/all', '/_matrix/client/r0/logout/all'],
  auth: 'userOrGuest',
  whileLocked: true,
  whileSuspended: true,
  async handle(ctx, { requester }) {
    await removeDevices(ctx, requester, {})
    return {}
  },
})
