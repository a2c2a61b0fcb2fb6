import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { usersNoLongerSharing, usersNowSharing } from '../storage/device-list-changes.ts'
import { deviceListChangesFor } from '../storage/user-data.ts'

/**
 * Whose device lists a client has to fetch again, or need no longer track, after it was away for a span of the stream.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/keys/changes` (v1.19).
 *
 * @param options.completed Whether the members count of rooms that were joined without them, from when they were known. Who loads
 * members lazily has the room before, and asks for its members, and so for their keys, when there is something to write.
 */
export async function keyChanges(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  user: { readonly userId: UserId; readonly userNid: number },
  span: { readonly from: number; readonly to: number },
  { completed }: { readonly completed: boolean },
): Promise<{ changed: UserId[]; left: UserId[] }> {
  const between = [user.userNid, span.from, span.to]
  const [changes, came, went] = await Promise.all([
    ctx.database.read(deviceListChangesFor, between),
    ctx.database.read(usersNowSharing, [...between, completed]),
    ctx.database.read(usersNoLongerSharing, [...between, user.userId]),
  ])
  const changed = new Set([...changes, ...came].map((row) => row.user_nid))
  const left = new Set(went.map((row) => row.user_nid))
  const userIds = await ctx.dictionaries.userIds([...changed, ...left])
  const named = (nids: Iterable<number>): UserId[] => [...nids].flatMap((nid) => userIds.get(nid) ?? [])
  return { changed: named(changed), left: named(left) }
}
