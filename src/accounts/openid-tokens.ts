import { hash } from 'node:crypto'
import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'

/** Milliseconds. */
const lifetime = 3_600_000

const insertToken = statement<never>(
  'insert OpenID token',
  `insert into one_time_tokens (kind, token_hash, user_nid, expires_at) values ('openid', $1, $2, $3)`,
)
const ownerOfToken = statement<{ user_id: UserId }>(
  'owner of an OpenID token',
  `select u.user_id from one_time_tokens t join users u using (user_nid) join accounts a using (user_nid)
   where t.kind = 'openid' and t.token_hash = $1 and t.expires_at > $2 and a.deactivated_at is null`,
)

/**
 * A token by which another service learns who its bearer is, and which is good for nothing else.
 *
 * Spec: Client-Server API, "OpenID" (v1.19).
 *
 * @returns the token, and the seconds it lasts.
 */
export async function createOpenIdToken(
  ctx: Pick<Context, 'database' | 'clock' | 'random'>,
  user: { readonly userNid: number },
): Promise<{ token: string; expiresIn: number }> {
  const token = ctx.random.token(32)
  await ctx.database.read(insertToken, [hash('sha256', token, 'buffer'), user.userNid, ctx.clock.now() + lifetime])
  return { token, expiresIn: lifetime / 1000 }
}

/** Who a token was made for. It can be asked about until it expires. Spec: Server-Server API, "OpenID". */
export async function ownerOfOpenIdToken(
  ctx: Pick<Context, 'database' | 'clock'>,
  token: string,
): Promise<UserId | undefined> {
  const [row] = await ctx.database.read(ownerOfToken, [hash('sha256', token, 'buffer'), ctx.clock.now()])
  return row?.user_id
}
