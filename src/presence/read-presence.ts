import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { presenceOfUser } from '../storage/presence.ts'
import { usersSharingARoom } from '../storage/room-users.ts'
import { presenceContent } from './person.ts'

/**
 * What one user sees of another's presence.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/presence/{userId}/status` (v1.19).
 *
 * @throws MatrixError M_FORBIDDEN for who shares no room, whether or not there is such a user.
 */
export async function readPresence(
  ctx: Pick<Context, 'presence' | 'database' | 'dictionaries' | 'domains' | 'clock'>,
  reader: { readonly userId: UserId; readonly userNid: number },
  userId: UserId,
): Promise<JsonObject> {
  if (!ctx.presence) return { presence: 'offline' }
  const userNid = (await ctx.dictionaries.findUsers([userId])).get(userId)
  const shares =
    userNid !== undefined &&
    (userNid === reader.userNid || (await ctx.database.read(usersSharingARoom, [reader.userNid, [userNid]])).length > 0)
  if (!shares) throw new MatrixError('M_FORBIDDEN', 'You are not allowed to see their presence')
  const person = ctx.presence.of(userNid)
  if (person) return presenceContent(person, ctx.clock.now())
  if (!ctx.domains.isLocal(serverNameOf(userId))) return { presence: 'offline' }
  const [row] = await ctx.database.read(presenceOfUser, [userNid])
  return { presence: 'offline', ...(row?.status_msg && { status_msg: row.status_msg }) }
}
