import { deleteAccountData } from '../account-data/account-data.ts'
import type { Context } from '../context.ts'
import { announceDeviceListChange, announceDeviceName, deleteKeysOfDevices } from '../keys/device-list-changes.ts'
import type { UserId } from '../matrix/ids.ts'
import { deleteDeviceRows } from '../storage/devices.ts'
import { lockDevices } from '../storage/keys.ts'

/**
 * Removes devices with their tokens, their keys and the messages that wait for them, and tells everybody who tracks the
 * user's devices.
 *
 * @param which all of them, unless some are named.
 * @returns the ids of those that were there.
 */
export async function removeDevices(
  ctx: Pick<Context, 'config' | 'database' | 'invalidations' | 'writer' | 'deviceKeys'>,
  user: { userId: UserId; userNid: number },
  which: { only?: readonly string[]; except?: string },
): Promise<string[]> {
  const removed = await ctx.database.db.transaction().execute(async (tx) => {
    await deleteKeysOfDevices(tx, user.userNid, await lockDevices(tx, user.userNid, which))
    return deleteDeviceRows(tx, user.userNid, which)
  })
  ctx.invalidations.publish('user', user.userId)
  for (const deviceId of removed) ctx.deviceKeys.changed({ userNid: user.userNid, deviceId })
  if (removed.length > 0) await announceDeviceListChange(ctx, user.userNid)
  if (ctx.config.experimental.msc3890) {
    // Spec: MSC3890: what is kept of the notifications of a device goes when the device does.
    const types = removed.map((deviceId) => `org.matrix.msc3890.local_notification_settings.${deviceId}`)
    await deleteAccountData(ctx, { userNid: user.userNid, room: 0 }, types)
  }
  return removed
}

/** Tells those who track the user's devices that one has another name. */
export async function announceDevices(ctx: Pick<Context, 'database' | 'writer'>, userNid: number): Promise<void> {
  await announceDeviceName(ctx, userNid)
}
