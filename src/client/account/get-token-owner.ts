import { endpoint } from '../../http/endpoint.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/account/whoami` (v1.19). */
export const getTokenOwner = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/account/whoami', '/_matrix/client/r0/account/whoami'],
  auth: 'userOrGuest',
  handle(_ctx, { requester }) {
    return {
      user_id: requester.userId,
      is_guest: requester.isGuest,
      ...(requester.deviceId !== undefined && { device_id: requester.deviceId }),
    }
  },
})
