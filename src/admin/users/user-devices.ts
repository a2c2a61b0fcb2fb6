import { Type } from '@sinclair/typebox'
import { announceDevices, removeDevices } from '../../devices/remove-devices.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId, type UserId } from '../../matrix/ids.ts'
import { type DeviceRow, devicesOf, findDevice, renameDevice, upsertDevice } from '../../storage/devices.ts'
import { localAccount } from '../local-account.ts'
import { text } from '../schemas.ts'

const params = { userId: parseUserId }
const devices = '/_synapse/admin/v2/users/{userId}/devices'
const device = '/_synapse/admin/v2/users/{userId}/devices/{deviceId}'

export const listDevices = endpoint({
  method: 'get',
  path: devices,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const rows = await devicesOf(ctx.database.db, account.userNid)
    return { devices: rows.map((row) => deviceAnswer(params.userId, row)), total: rows.length }
  },
})

/** A device without a session: for those who prepare one. */
export const createDevice = endpoint({
  method: 'post',
  path: devices,
  auth: 'admin',
  params,
  body: Type.Object({ device_id: Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$' }) }),
  async handle(ctx, { params, body }) {
    const account = await localAccount(ctx, params.userId)
    await ctx.database.db.transaction().execute((tx) =>
      upsertDevice(tx, {
        user_nid: account.userNid,
        device_id: body.device_id,
        display_name: null,
        created_at: ctx.clock.now(),
      }),
    )
    return reply({}, { status: 201 })
  },
})

export const getUserDevice = endpoint({
  method: 'get',
  path: device,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const row = await findDevice(ctx.database.db, account.userNid, params.deviceId)
    if (!row) throw new MatrixError('M_NOT_FOUND', 'There is no such device')
    return deviceAnswer(params.userId, row)
  },
})

export const updateUserDevice = endpoint({
  method: 'put',
  path: device,
  auth: 'admin',
  params,
  body: Type.Object({ display_name: Type.Optional(text) }),
  async handle(ctx, { params, body }) {
    const account = await localAccount(ctx, params.userId)
    const { db } = ctx.database
    const isThere =
      body.display_name === undefined
        ? (await findDevice(db, account.userNid, params.deviceId)) !== undefined
        : await renameDevice(db, account.userNid, params.deviceId, body.display_name)
    if (!isThere) throw new MatrixError('M_NOT_FOUND', 'There is no such device')
    await announceDevices(ctx, account.userNid)
    return {}
  },
})

export const deleteUserDevice = endpoint({
  method: 'delete',
  path: device,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    await removeDevices(ctx, await localAccount(ctx, params.userId), { only: [params.deviceId] })
    return {}
  },
})

export const deleteUserDevices = endpoint({
  method: 'post',
  path: '/_synapse/admin/v2/users/{userId}/delete_devices',
  auth: 'admin',
  params,
  body: Type.Object({ devices: Type.Array(text, { maxItems: 10_000 }) }),
  async handle(ctx, { params, body }) {
    await removeDevices(ctx, await localAccount(ctx, params.userId), { only: body.devices })
    return {}
  },
})

function deviceAnswer(userId: UserId, row: DeviceRow) {
  return {
    device_id: row.device_id,
    display_name: row.display_name,
    last_seen_ip: row.last_seen_ip,
    last_seen_ts: row.last_seen_at,
    last_seen_user_agent: null,
    user_id: userId,
  }
}
