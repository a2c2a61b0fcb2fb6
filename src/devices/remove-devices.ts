import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { deleteDeviceRows } from '../storage/devices.ts'
import type { Fact } from '../storage/stream.ts'
import { insertDeviceListChanges } from '../storage/user-data.ts'

/**
 * Removes devices with their tokens, and tells everybody who tracks the user's devices.
 *
 * @param which all of them, unless some are named.
 * @returns the ids of those that were there.
 */
export async function removeDevices(
  ctx: Pick<Context, 'database' | 'invalidations' | 'writer'>,
  user: { userId: UserId; userNid: number },
  which: { only?: readonly string[]; except?: string },
): Promise<string[]> {
  const removed = await ctx.database.db.transaction().execute((tx) => deleteDeviceRows(tx, user.userNid, which))
  ctx.invalidations.publish('user', user.userId)
  if (removed.length > 0) await announceDevices(ctx, user.userNid)
  return removed
}

/** Puts a change of a user's device list on the stream. */
export async function announceDevices(ctx: Pick<Context, 'writer'>, userNid: number): Promise<void> {
  await ctx.writer.write({
    positions: 1,
    write(batch, position) {
      batch.add(insertDeviceListChanges, { position, user_nid: userNid })
      batch.fact({ kind: 'deviceList', position, userNid } satisfies Fact)
    },
  })
}
