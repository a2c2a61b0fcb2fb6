import type { Context } from '../context.ts'
import { removeDevices } from '../devices/remove-devices.ts'
import type { UserId } from '../matrix/ids.ts'
import { markDeactivated } from '../storage/accounts.ts'
import { deleteThreepidsOf } from '../storage/threepids.ts'
import { leaveAllRooms } from './leave-all-rooms.ts'

/**
 * Ends an account for good: nobody can log in to it, nobody else can have its name, and its user leaves every room. A
 * process that ends before that is done is followed by one that does it (`finishDeactivations`).
 *
 * Spec: Client-Server API, "Account deactivation" (v1.19).
 */
export async function deactivateAccount(
  ctx: Context,
  user: { userId: UserId; userNid: number },
  options: { erase: boolean },
): Promise<void> {
  await ctx.database.db.transaction().execute(async (tx) => {
    await markDeactivated(tx, user.userNid, ctx.clock.now(), options.erase)
    await deleteThreepidsOf(tx, user.userNid)
  })
  ctx.invalidations.publish('user', user.userId)
  await removeDevices(ctx, user, {})
  await leaveAllRooms(ctx, user)
}
