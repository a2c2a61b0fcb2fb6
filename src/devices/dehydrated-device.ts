import type { Context } from '../context.ts'
import { announceDeviceListChange, deleteKeysOfDevices } from '../keys/device-list-changes.ts'
import { checkKeyUpload, type KeyUpload, storeKeys } from '../keys/upload-keys.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_DEHYDRATED_DEVICE_BYTES } from '../matrix/limits.ts'
import type { Tx } from '../storage/database.ts'
import { dehydratedDeviceOf, insertDehydratedDevice, lockDehydratedDevice } from '../storage/dehydrated-devices.ts'
import { deleteDeviceRows, upsertDevice } from '../storage/devices.ts'
import { lockAccount, lockDevices } from '../storage/keys.ts'
import { newsOfUser } from '../storage/user-data.ts'
import { toDevicePerSync } from '../sync/user-extras.ts'
import { removeDevices } from './remove-devices.ts'

type User = { readonly userId: UserId; readonly userNid: number }

/** What a client uploads of the device that is to sleep. */
export type DehydratedDevice = {
  readonly deviceId: string
  readonly data: JsonObject
  readonly displayName: string | undefined
  readonly keys: KeyUpload
}

/**
 * Takes in a dehydrated device with its keys, all at once, in the place of the one before.
 *
 * Spec: MSC3814, "Dehydrating a device".
 *
 * @throws MatrixError M_INVALID_PARAM for an id that is not the device's identity key or is in use, M_TOO_LARGE, and what
 *   an upload of keys throws.
 */
export async function dehydrateDevice(
  ctx: Pick<Context, 'database' | 'clock' | 'deviceKeys' | 'writer'>,
  user: User,
  dehydrated: DehydratedDevice,
): Promise<void> {
  const device = { ...user, deviceId: dehydrated.deviceId }
  const keys = checkKeyUpload(device, dehydrated.keys)
  const identityKeys = keys.identity?.signed.keys as JsonObject | undefined
  if (identityKeys?.[`curve25519:${device.deviceId}`] !== device.deviceId) {
    throw new MatrixError('M_INVALID_PARAM', 'The id of a dehydrated device is its curve25519 key')
  }
  const data = JSON.stringify(dehydrated.data)
  if (Buffer.byteLength(data) > MAX_DEHYDRATED_DEVICE_BYTES)
    throw new MatrixError('M_TOO_LARGE', 'device_data is too large')
  const former = await ctx.database.db.transaction().execute(async (tx) => {
    await lockAccount(tx, user.userNid)
    const before = await deleteFormer(tx, user.userNid)
    const row = { user_nid: user.userNid, device_id: device.deviceId }
    const named = { ...row, display_name: dehydrated.displayName ?? null, created_at: ctx.clock.now() }
    if (!(await upsertDevice(tx, named)).isNew) {
      throw new MatrixError('M_INVALID_PARAM', 'There is another device with this id')
    }
    await storeKeys(ctx, tx, device, keys)
    await insertDehydratedDevice(tx, { ...row, device_data: data })
    return before
  })
  ctx.deviceKeys.changed(device)
  if (former !== undefined) ctx.deviceKeys.changed({ userNid: user.userNid, deviceId: former })
  await announceDeviceListChange(ctx, user.userNid)
}

async function deleteFormer(tx: Tx, userNid: number): Promise<string | undefined> {
  const former = await lockDehydratedDevice(tx, userNid)
  if (former === undefined) return undefined
  const which = { only: [former] }
  await deleteKeysOfDevices(tx, userNid, await lockDevices(tx, userNid, which))
  await deleteDeviceRows(tx, userNid, which)
  return former
}

/**
 * The device that sleeps. Spec: MSC3814, "Rehydrating a device".
 *
 * @throws MatrixError M_NOT_FOUND
 */
export async function dehydratedDevice(
  ctx: Pick<Context, 'database'>,
  userNid: number,
): Promise<{ deviceId: string; data: JsonObject }> {
  const [row] = await ctx.database.read(dehydratedDeviceOf, [userNid])
  if (!row) throw new MatrixError('M_NOT_FOUND', 'There is no dehydrated device')
  return { deviceId: row.device_id, data: JSON.parse(row.device_data) as JsonObject }
}

/** Spec: MSC3814, "Deleting a dehydrated device". @throws MatrixError M_NOT_FOUND */
export async function deleteDehydrated(ctx: Parameters<typeof removeDevices>[0], user: User): Promise<string> {
  const { deviceId } = await dehydratedDevice(ctx, user.userNid)
  await removeDevices(ctx, user, { only: [deviceId] })
  return deviceId
}

/**
 * Messages to the device that sleeps, as JSON texts, oldest first. They stay: whoever wakes it may have to begin anew.
 *
 * Spec: MSC3814, "Rehydrating a device".
 *
 * @returns `next` where the messages after these begin; undefined when there are none any more.
 * @throws MatrixError M_FORBIDDEN for another device than that which sleeps.
 */
export async function messagesToDehydrated(
  ctx: Pick<Context, 'database' | 'stream'>,
  user: User,
  deviceId: string,
  after: number,
): Promise<{ messages: readonly string[]; next: number | undefined }> {
  const [row] = await ctx.database.read(dehydratedDeviceOf, [user.userNid])
  if (row?.device_id !== deviceId) throw new MatrixError('M_FORBIDDEN', 'This is not your dehydrated device')
  const upTo = ctx.stream.position
  const found = await ctx.database.read(newsOfUser, [
    user.userNid,
    deviceId,
    upTo,
    null,
    after,
    toDevicePerSync,
    [],
    [],
  ])
  const rows = found.toSorted((one, other) => one.position - other.position)
  return { messages: rows.map(({ text }) => text), next: rows.at(-1)?.position }
}
