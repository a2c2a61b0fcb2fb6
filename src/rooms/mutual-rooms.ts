import type { Context } from '../context.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'
import { membershipCodes } from '../storage/room-users.ts'

const batch = 100

const sharedRooms = statement<{ room: number; room_id: RoomId; count: number }>(
  'mutual rooms',
  `with shared as (
     select a.room from room_users a join room_users b using (room)
     where a.user_nid = $1 and a.membership = ${membershipCodes.join}
       and b.user_nid = $2 and b.membership = ${membershipCodes.join})
   select room, room_id, (select count(*) from shared) as count from shared join rooms using (room)
   where room > $3 order by room limit ${batch + 1}`,
)

/**
 * The rooms that two users are both joined to, in batches.
 *
 * @param after The last room of the batch before; 0 for the first batch.
 * @returns `next`: what comes after is asked for with this.
 */
export async function mutualRooms(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  user: { readonly userNid: number },
  other: UserId,
  after: number,
): Promise<{ rooms: RoomId[]; count: number; next: number | undefined }> {
  const otherNid = (await ctx.dictionaries.findUsers([other])).get(other)
  if (otherNid === undefined) return { rooms: [], count: 0, next: undefined }
  const rows = await ctx.database.read(sharedRooms, [user.userNid, otherNid, after])
  const shown = rows.slice(0, batch)
  return {
    rooms: shown.map((row) => row.room_id),
    count: rows[0]?.count ?? 0,
    next: rows.length > batch ? shown.at(-1)!.room : undefined,
  }
}
