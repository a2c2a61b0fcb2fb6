import { endpoint } from '../../http/endpoint.ts'
import { devicesOf } from '../../storage/devices.ts'
import { deviceAnswer } from './device-answer.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/devices` (v1.19). */
export const getDevices = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/devices', '/_matrix/client/r0/devices'],
  auth: 'userOrGuest',
  async handle(ctx, { requester }) {
    return { devices: (await devicesOf(ctx.database.db, requester.userNid)).map(deviceAnswer) }
  },
})
