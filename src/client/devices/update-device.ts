import { Type } from '@sinclair/typebox'
import { announceDevices } from '../../devices/remove-devices.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { findDevice, renameDevice } from '../../storage/devices.ts'
import { shortText } from '../text.ts'

/** Spec: Client-Server API, `PUT /_matrix/client/v3/devices/{deviceId}` (v1.19). */
export const updateDevice = endpoint({
  method: 'put',
  path: ['/_matrix/client/v3/devices/{deviceId}', '/_matrix/client/r0/devices/{deviceId}'],
  auth: 'userOrGuest',
  body: Type.Object({ display_name: Type.Optional(shortText) }),
  async handle(ctx, { params, body, requester }) {
    const exists =
      body.display_name === undefined
        ? (await findDevice(ctx.database.db, requester.userNid, params.deviceId)) !== undefined
        : await renameDevice(ctx.database.db, requester.userNid, params.deviceId, body.display_name)
    if (!exists) throw new MatrixError('M_NOT_FOUND', 'There is no such device')
    if (body.display_name !== undefined) await announceDevices(ctx, requester.userNid)
    return {}
  },
})
