import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { findDevice } from '../../storage/devices.ts'
import { deviceAnswer } from './device-answer.ts'

/** Spec: Client-Server API, `GET /_matrix/client/v3/devices/{deviceId}` (v1.19). */
export const getDevice = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/devices/{deviceId}', '/_matrix/client/r0/devices/{deviceId}'],
  auth: 'userOrGuest',
  async handle(ctx, { params, requester }) {
    const device = await findDevice(ctx.database.db, requester.userNid, params.deviceId)
    if (device === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such device')
    return deviceAnswer(device)
  },
})
