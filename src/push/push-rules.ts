import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Json } from '../matrix/json.ts'
import { type CompiledRules, compileRules } from '../matrix/push-rules/compile.ts'
import { rulesetOf } from '../matrix/push-rules/default-rules.ts'
import type { PushRuleset, StoredPushRules } from '../matrix/push-rules/types.ts'
import { upTo } from '../storage/caches.ts'
import { oneAccountData } from '../storage/user-data.ts'

type User = { readonly userId: UserId; readonly userNid: number }

/**
 * The push rules of users. Stored is only what a user changed, as account data, so that later default rules reach
 * everybody.
 */
export type PushRules = {
  ruleset(user: User): Promise<PushRuleset>
  /** Ready to be evaluated; remembered until they change. */
  compiled(user: User): Promise<CompiledRules>
  /** The content of `m.push_rules`. */
  content(user: User): Promise<{ readonly global: Json }>
  /** The content of `m.push_rules` as JSON text, from what the user stored, if anything. */
  text(userId: UserId, stored: string | undefined): string
  /** What `edit` gives back as it was is not written. @throws whatever `edit` throws. */
  change(user: User, edit: (stored: StoredPushRules) => StoredPushRules): Promise<void>
}

const compiledMax = 20_000
const type = 'm.push_rules'

export function createPushRules(
  ctx: Pick<Context, 'accountDataChanges' | 'config' | 'database' | 'caches' | 'stream'>,
): PushRules {
  const features = ctx.config.experimental
  const compiled = ctx.caches.lru<number, CompiledRules>('push rules', upTo(compiledMax))
  ctx.stream.follow((facts) => {
    for (const fact of facts) if (fact.kind === 'accountData' && fact.type === type) compiled.delete(fact.userNid)
  })

  const load = async ({ userNid }: User): Promise<StoredPushRules> => {
    const [row] = await ctx.database.read(oneAccountData, [userNid, 0, type])
    return row ? (JSON.parse(row.content) as StoredPushRules) : {}
  }
  const ruleset = async (user: User): Promise<PushRuleset> => rulesetOf(user.userId, await load(user), features)

  return {
    ruleset,
    async compiled(user) {
      const known = compiled.get(user.userNid)
      if (known) return known
      const position = ctx.stream.position
      const rules = compileRules(await ruleset(user), user.userId)
      if (ctx.stream.position === position) compiled.set(user.userNid, rules)
      return rules
    },
    content: async (user) => ({ global: (await ruleset(user)) as unknown as Json }),
    text(userId, stored) {
      const changes = stored === undefined ? {} : (JSON.parse(stored) as StoredPushRules)
      return JSON.stringify({ global: rulesetOf(userId, changes, features) })
    },
    change: ({ userNid }, edit) =>
      ctx.accountDataChanges.change({ userNid, room: 0, type }, (stored) => {
        const before = stored === undefined ? {} : (JSON.parse(stored) as StoredPushRules)
        const after = edit(before)
        return after === before ? undefined : JSON.stringify(after)
      }),
  }
}
