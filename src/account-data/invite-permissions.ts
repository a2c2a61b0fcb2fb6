import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { serverNameOf, type UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { compileGlob, matchesWhole } from '../matrix/push-rules/glob.ts'
import { invitePermissionsOf } from '../storage/user-data.ts'

/** What becomes of an invite: shown, refused, or taken and never shown. */
export type InviteVerdict = 'allow' | 'block' | 'ignore'

/** What a user has said about invites, as account data. */
export type InvitePermissions = {
  /** `m.invite_permission_config`. Spec: Client-Server API, "Invite permission" (v1.19). */
  readonly config: JsonObject | undefined
  /** `org.matrix.msc4155.invite_permission_config`. */
  readonly lists: JsonObject | undefined
}

/** Patterns of one list that are looked at; a pattern is no longer than a user id can be. */
const mostPatterns = 1_000
const longestPattern = 255
/** Characters that all patterns together may look at. */
const matchingBudget = 1_000_000

const order = [
  ['allowed', 'allow'],
  ['ignored', 'ignore'],
  ['blocked', 'block'],
] as const

/**
 * Judges an invite by a user.
 *
 * Spec: Client-Server API, "Invite permission" (v1.19); MSC4155: lists of users come before lists of servers, and within
 * each what is allowed before what is ignored before what is blocked.
 */
export function judgeInvite({ config, lists }: InvitePermissions, sender: UserId): InviteVerdict {
  if (config?.default_action === 'block') return 'block'
  if (!lists) return 'allow'
  const budget = { left: matchingBudget }
  for (const [kind, text] of [
    ['users', sender],
    ['servers', serverNameOf(sender)],
  ] as const) {
    for (const [list, verdict] of order) if (matchesAny(lists[`${list}_${kind}`], text, budget)) return verdict
  }
  return 'allow'
}

function matchesAny(patterns: Json | undefined, text: string, budget: { left: number }): boolean {
  if (!Array.isArray(patterns)) return false
  return (patterns as readonly Json[])
    .slice(0, mostPatterns)
    .some(
      (pattern) =>
        typeof pattern === 'string' &&
        pattern !== '' &&
        pattern.length <= longestPattern &&
        matchesWhole(compileGlob(pattern), text, budget),
    )
}

/** What a user of ours has said; nothing for others. */
export async function invitePermissions(
  ctx: Pick<Context, 'database' | 'config'>,
  userId: UserId,
): Promise<InvitePermissions> {
  const rows = await ctx.database.read(invitePermissionsOf, [userId])
  const content = (type: string): JsonObject | undefined => {
    const row = rows.find((one) => one.type === type)
    return row && (JSON.parse(row.content) as JsonObject)
  }
  return {
    config: content('m.invite_permission_config'),
    lists: ctx.config.experimental.msc4155 ? content('org.matrix.msc4155.invite_permission_config') : undefined,
  }
}

/** @throws MatrixError M_INVITE_BLOCKED when a user of ours does not want to be invited by another one. */
export async function refuseBlockedInvite(
  ctx: Pick<Context, 'database' | 'config'>,
  target: UserId,
  sender: UserId,
): Promise<InviteVerdict> {
  const verdict = judgeInvite(await invitePermissions(ctx, target), sender)
  if (verdict === 'block') throw new MatrixError('M_INVITE_BLOCKED', 'This user does not take invites from you')
  return verdict
}
