import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import { type AccountRow, findAccount } from '../storage/accounts.ts'

/**
 * The account of one of our users.
 *
 * @throws MatrixError M_INVALID_PARAM for a user of another server, M_NOT_FOUND.
 */
export async function localAccount(
  ctx: Pick<Context, 'database' | 'domains'>,
  userId: UserId,
): Promise<AccountRow & { userId: UserId; userNid: number }> {
  if (!ctx.domains.isLocal(serverNameOf(userId))) {
    throw new MatrixError('M_INVALID_PARAM', `${userId} is not a user of this server`)
  }
  const account = await findAccount(ctx.database.db, userId)
  if (!account) throw new MatrixError('M_NOT_FOUND', 'User not found')
  return { ...account, userId: account.user_id, userNid: account.user_nid }
}
