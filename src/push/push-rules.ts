import type { UserId } from '../matrix/ids.ts'
import { rulesetOf } from '../matrix/push-rules/default-rules.ts'
import type { StoredPushRules } from '../matrix/push-rules/types.ts'

/** The push rules of users, stored as what each user changed. */
export type PushRules = {
  /** The content of `m.push_rules` as JSON text, from what the user stored, if anything. */
  text(userId: UserId, stored: string | undefined): string
}

export function createPushRules(): PushRules {
  return {
    text(userId, stored) {
      const changes = stored === undefined ? {} : (JSON.parse(stored) as StoredPushRules)
      return JSON.stringify({ global: rulesetOf(userId, changes) })
    },
  }
}
