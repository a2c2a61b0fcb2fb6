import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { StoredEvent } from '../storage/events.ts'

/** The users that `m.ignored_user_list` names. Whatever else it holds is passed over. */
export function ignoredUsers(content: string | undefined, self: UserId): ReadonlySet<string> {
  if (content === undefined) return new Set()
  const list = (JSON.parse(content) as { ignored_users?: unknown }).ignored_users
  const ignored = new Set(typeof list === 'object' && list !== null ? Object.keys(list) : [])
  // Nobody may lose sight of themselves.
  ignored.delete(self)
  return ignored
}

/**
 * Of some events those that a reader wants to see.
 *
 * Spec: Client-Server API, "Ignoring Users": "Servers must still send state events sent by ignored users to clients."
 */
export async function withoutIgnored(
  ctx: Pick<Context, 'sessions'>,
  reader: { readonly userId: UserId; readonly userNid: number },
  events: readonly StoredEvent[],
): Promise<StoredEvent[]> {
  if (events.length === 0) return []
  const { ignored } = await ctx.sessions.of(reader)
  return events.filter(({ event: { pdu } }) => pdu.state_key !== undefined || !ignored.has(pdu.sender))
}
