import type { UserId } from '../matrix/ids.ts'

/** The users that `m.ignored_user_list` names. Whatever else it holds is passed over. */
export function ignoredUsers(content: string | undefined, self: UserId): ReadonlySet<string> {
  if (content === undefined) return new Set()
  const list = (JSON.parse(content) as { ignored_users?: unknown }).ignored_users
  const ignored = new Set(typeof list === 'object' && list !== null ? Object.keys(list) : [])
  // Nobody may lose sight of themselves.
  ignored.delete(self)
  return ignored
}
