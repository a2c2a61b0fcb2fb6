import type { Context } from '../context.ts'
import { removeDevices } from '../devices/remove-devices.ts'
import type { UserId } from '../matrix/ids.ts'
import { markDeactivated } from '../storage/accounts.ts'

/**
 * Ends an account for good: nobody can log in to it, and nobody else can have its name.
 *
 * Spec: Client-Server API, "Account deactivation" (v1.19).
 */
export async function deactivateAccount(
  ctx: Context,
  user: { userId: UserId; userNid: number },
  options: { erase: boolean },
): Promise<void> {
  await ctx.database.db.transaction().execute((tx) => markDeactivated(tx, user.userNid, ctx.clock.now(), options.erase))
  ctx.invalidations.publish('user', user.userId)
  await removeDevices(ctx, user, {})
}
