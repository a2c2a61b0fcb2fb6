import type { UserId } from '../ids.ts'
import type { Json } from '../json.ts'
import {
  type CompiledCondition,
  type CompiledRule,
  type CompiledRules,
  compileRules,
  NO_OUTCOME,
  type PushOutcome,
} from './compile.ts'
import { defaultRuleset } from './default-rules.ts'
import type { EventFacts } from './event-facts.ts'
import { literalGlob, type MatchingBudget, matchesWhole, matchesWords } from './glob.ts'
import type { PushFeatures } from './types.ts'

/** Who reads the event. */
export type PushReader = {
  readonly userId: UserId
  /** In the room. Needed only where `CompiledRules.usesDisplayName` says so. */
  readonly displayName?: string | undefined
  /** Whether the reader is subscribed to the thread of the event (MSC4306); no, when nothing is said. */
  readonly isSubscribed?: boolean
}

/**
 * Characters that the patterns of one ruleset may look at for one event. Ours: ten thousand patterns of a kilobyte
 * against a body of 64 kB would stop the process for minutes. Globs beyond the budget do not match; everything else,
 * the default rules among it, costs nothing of it.
 */
export const MATCHING_BUDGET = 8_000_000

/** Without a user id: anybody whom the event does not name. */
type Reader = Omit<PushReader, 'userId'> & { readonly userId?: UserId }

type Evaluation = { readonly facts: EventFacts; readonly reader: Reader; readonly budget: MatchingBudget }

/**
 * What a user's rules say about an event: the outcome of the first rule that matches.
 *
 * Spec: Client-Server API, "Push Rules" (v1.19). Events that the user sent never notify.
 */
export function evaluate(rules: CompiledRules, facts: EventFacts, reader: PushReader): PushOutcome {
  return facts.event.pdu.sender === reader.userId ? NO_OUTCOME : outcomeFor(rules, facts, reader)
}

function outcomeFor(rules: CompiledRules, facts: EventFacts, reader: Reader): PushOutcome {
  const { pdu, roomId } = facts.event
  const evaluation: Evaluation = { facts, reader, budget: { left: MATCHING_BUDGET } }
  return (
    firstMatch(rules.override, evaluation) ??
    firstMatch(rules.content, evaluation) ??
    firstMatch(rules.postcontent, evaluation) ??
    rules.room.get(roomId) ??
    rules.sender.get(pdu.sender) ??
    firstMatch(rules.underride, evaluation) ??
    NO_OUTCOME
  )
}

function firstMatch(rules: readonly CompiledRule[], evaluation: Evaluation): PushOutcome | undefined {
  for (const rule of rules) {
    let holds = true
    for (const condition of rule.conditions) {
      if (matches(condition, evaluation)) continue
      holds = false
      break
    }
    if (holds) return rule.outcome
  }
  return undefined
}

function matches(condition: CompiledCondition, evaluation: Evaluation): boolean {
  const { facts, reader } = evaluation
  switch (condition.kind) {
    case 'glob': {
      const text = facts.lowercaseAt(condition.key, condition.path)
      if (text === undefined) return false
      const match = condition.words ? matchesWords : matchesWhole
      return match(condition.glob, text, evaluation.budget)
    }
    case 'equals':
      return facts.lowercaseAt(condition.key, condition.path) === condition.lowercase
    case 'self':
      return reader.userId !== undefined && facts.valueAt(condition.key, condition.path) === reader.userId
    case 'is':
      return facts.valueAt(condition.key, condition.path) === condition.value
    case 'contains':
      return contains(facts.valueAt(condition.key, condition.path), condition.value)
    case 'contains_self':
      return reader.userId !== undefined && contains(facts.valueAt(condition.key, condition.path), reader.userId)
    case 'display_name':
      return containsDisplayName(evaluation)
    case 'member_count':
      return facts.roomMemberCount >= condition.least && facts.roomMemberCount <= condition.most
    case 'sender_level': {
      const { powerLevels, event } = facts
      return powerLevels.userLevel(event.pdu.sender) >= powerLevels.notificationLevel(condition.key)
    }
    case 'thread_subscription':
      return facts.threadRoot !== undefined && (reader.isSubscribed ?? false) === condition.subscribed
    case 'without_mentions':
      return facts.valueAt('content.m\\.mentions', MENTIONS_PATH) === undefined
    case 'never':
      return false
  }
}

function contains(value: Json | undefined, wanted: Json): boolean {
  return Array.isArray(value) && value.includes(wanted)
}

const BODY_PATH = ['content', 'body']
const MENTIONS_PATH = ['content', 'm.mentions']

/** Spec: "This matches messages where `content.body` contains the owner's display name in that room." */
function containsDisplayName({ facts, reader: { displayName }, budget }: Evaluation): boolean {
  const body = facts.lowercaseAt('content.body', BODY_PATH)
  if (body === undefined || displayName === undefined || displayName === '') return false
  return matchesWords(literalGlob(displayName.toLowerCase()), body, budget)
}

/** By the switches, of which a process has one set. */
const compiled = new WeakMap<PushFeatures, CompiledRules>()

/**
 * The default rules of any user, shared by all who changed nothing. They are compiled for nobody in particular: they
 * speak of the reader only through `self` conditions.
 */
export function compiledDefaults(features: PushFeatures): CompiledRules {
  let rules = compiled.get(features)
  if (!rules) compiled.set(features, (rules = compileRules(defaultRuleset('@:', features), '@:')))
  return rules
}

/**
 * What the default rules say about an event for everybody whom it does not name: one evaluation for the whole room.
 * The sender, the users of `namedUsers` and who is subscribed to the event's thread are the exceptions.
 */
export function defaultOutcome(facts: EventFacts, features: PushFeatures): PushOutcome {
  return outcomeFor(compiledDefaults(features), facts, {})
}

/** Whom the sender wants to reach, as far as the default rules look at it. Not yet checked against power levels. */
export function mentionsOf(facts: EventFacts): { readonly userIds: readonly UserId[]; readonly room: boolean } {
  const mentions = facts.valueAt('content.m\\.mentions', MENTIONS_PATH)
  if (typeof mentions !== 'object' || mentions === null || Array.isArray(mentions)) return { userIds: [], room: false }
  const { user_ids: userIds, room } = mentions as { readonly [key: string]: Json }
  const named = Array.isArray(userIds)
    ? userIds.filter((id): id is UserId => typeof id === 'string' && id.startsWith('@'))
    : []
  return { userIds: [...new Set(named)], room: room === true }
}

/**
 * The users for whom the default rules may say something else than `defaultOutcome`: those mentioned, and the one who is
 * invited. For every other reader with unchanged rules who is not subscribed to its thread `defaultOutcome` is exact.
 */
export function namedUsers(facts: EventFacts): readonly UserId[] {
  const { userIds } = mentionsOf(facts)
  const { type, state_key: target } = facts.event.pdu
  return type === 'm.room.member' && target !== undefined ? [...new Set([...userIds, target as UserId])] : userIds
}
