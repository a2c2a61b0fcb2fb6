import type { Context } from '../context.ts'
import { unreadOfUser } from '../storage/pushers.ts'

/** How much a user has not read, as the badge of an app shows it. */
export async function unreadOf(ctx: Pick<Context, 'database' | 'config'>, userNid: number): Promise<number> {
  const [unread] = await ctx.database.read(unreadOfUser, [userNid])
  const { invites, rooms, messages } = unread!
  return invites + (ctx.config.push.group_unread_count_by_room ? rooms : messages)
}
