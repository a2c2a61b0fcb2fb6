import type { Context } from '../context.ts'
import { removeDevices } from '../devices/remove-devices.ts'
import type { UserId } from '../matrix/ids.ts'
import { updatePasswordHash } from '../storage/accounts.ts'
import { checkPasswordPolicy, hashPassword } from './passwords.ts'

/**
 * Sets a new password, and ends the user's other sessions if asked to.
 *
 * @param options.keepDevice the device that stays logged in.
 * @throws MatrixError M_WEAK_PASSWORD
 */
export async function changePassword(
  ctx: Context,
  user: { userId: UserId; userNid: number },
  password: string,
  options: { logOutOthers: boolean; keepDevice: string | undefined },
): Promise<void> {
  checkPasswordPolicy(ctx.config, password)
  await updatePasswordHash(ctx.database.db, user.userNid, await hashPassword(ctx, password))
  if (!options.logOutOthers) return
  await removeDevices(ctx, user, options.keepDevice === undefined ? {} : { except: options.keepDevice })
}
