import type { Config } from '../config.ts'
import { foldText } from '../matrix/fold-text.ts'
import type { Json, JsonObject } from '../matrix/json.ts'

/** What a policy server of ours refuses. */
export type PolicyRules = Pick<Config['policy_server'], 'refused_message_types' | 'refused_texts' | 'max_mentions'>

/**
 * Why a policy server of ours does not recommend an event; undefined if it does. Nothing but the content counts, so an
 * event is judged the same whenever somebody asks. What is encrypted says nothing.
 */
export function objectionTo(content: JsonObject, rules: PolicyRules): string | undefined {
  const { msgtype } = content
  if (typeof msgtype === 'string' && rules.refused_message_types.includes(msgtype)) {
    return 'Messages of this type are not welcome in this room'
  }
  if (rules.max_mentions !== undefined && mentionsIn(content) > rules.max_mentions) {
    return 'The message mentions too many users'
  }
  const refused = rules.refused_texts.map(foldText)
  return refused.length > 0 && mentionsText(content, refused)
    ? 'The message says what is not welcome in this room'
    : undefined
}

function mentionsIn(content: JsonObject): number {
  const mentions = content['m.mentions']
  if (typeof mentions !== 'object' || mentions === null || Array.isArray(mentions)) return 0
  const { user_ids: userIds } = mentions as JsonObject
  return Array.isArray(userIds) ? userIds.length : 0
}

function mentionsText(value: Json | undefined, refused: readonly string[]): boolean {
  if (typeof value === 'string') {
    const text = foldText(value)
    return refused.some((one) => text.includes(one))
  }
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).some((one) => mentionsText(one as Json, refused))
}
