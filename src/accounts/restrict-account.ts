import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { updateAccountFlags } from '../storage/accounts.ts'

/**
 * Locks or suspends an account, makes it an administrator's, or takes that back. Every process knows at once.
 *
 * Spec: Client-Server API, "Account locking", "Account suspension" (v1.19).
 */
export async function restrictAccount(
  ctx: Pick<Context, 'database' | 'invalidations'>,
  user: { userId: UserId; userNid: number },
  change: { locked?: boolean; suspended?: boolean; isAdmin?: boolean },
): Promise<void> {
  await updateAccountFlags(ctx.database.db, user.userNid, {
    ...(change.locked !== undefined && { locked: change.locked }),
    ...(change.suspended !== undefined && { suspended: change.suspended }),
    ...(change.isAdmin !== undefined && { is_admin: change.isAdmin }),
  })
  ctx.invalidations.publish('user', user.userId)
}
