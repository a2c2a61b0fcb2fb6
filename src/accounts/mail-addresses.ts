import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { Db } from '../storage/database.ts'
import { deletePusherOf } from '../storage/pushers.ts'
import { deleteThreepid, insertThreepid } from '../storage/threepids.ts'

/** The name of the app that pushers by mail have: client-server API, `POST /pushers/set`. */
export const mailAppId = 'm.email'

/**
 * Gives a user an address that was proved.
 *
 * @throws MatrixError M_THREEPID_IN_USE when it is somebody else's.
 */
export async function addMailAddress(
  db: Db,
  added: { readonly userNid: number; readonly address: string; readonly validated_at: number; readonly now: number },
): Promise<void> {
  const isTheirs = await insertThreepid(db, {
    medium: 'email',
    address: added.address,
    user_nid: added.userNid,
    validated_at: added.validated_at,
    added_at: added.now,
  })
  if (!isTheirs) throw new MatrixError('M_THREEPID_IN_USE', 'The address is of another account')
}

/** Takes an address from a user, and what is pushed there. @returns whether it was theirs. */
export async function removeMailAddress(
  ctx: Pick<Context, 'database' | 'invalidations'>,
  userNid: number,
  address: string,
): Promise<boolean> {
  const wasTheirs = await deleteThreepid(ctx.database.db, userNid, 'email', address)
  await ctx.database.read(deletePusherOf, [userNid, mailAppId, address])
  ctx.invalidations.publish('pushers', `${userNid}`)
  return wasTheirs
}
