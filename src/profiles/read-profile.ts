import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type Statement, statement } from '../storage/database.ts'

const isAccount: Statement<{ user_nid: number }> = statement(
  'account of a profile',
  'select user_nid from accounts join users using (user_nid) where user_id = $1 and deactivated_at is null',
)

/**
 * The profile of a user.
 *
 * @throws MatrixError M_NOT_FOUND for who has no account, or whose server cannot be asked.
 */
export async function profileOf(
  ctx: Pick<Context, 'database' | 'domains' | 'profiles' | 'remoteServers'>,
  userId: UserId,
  asker: ServerName = ctx.domains.default,
): Promise<JsonObject> {
  if (!ctx.domains.isLocal(serverNameOf(userId))) {
    const told = await ctx.remoteServers.current.profile(userId, asker)
    if (!told) throw new MatrixError('M_NOT_FOUND', 'No such user')
    return told
  }
  const [account] = await ctx.database.read(isAccount, [userId])
  if (!account) throw new MatrixError('M_NOT_FOUND', 'No such user')
  return ctx.profiles.of(account.user_nid)
}
