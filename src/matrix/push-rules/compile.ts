import type { UserId } from '../ids.ts'
import type { Json, JsonObject } from '../json.ts'
import { LEGACY_MENTION_RULES } from './default-rules.ts'
import { parsePath } from './event-facts.ts'
import { compileGlob, type Glob } from './glob.ts'
import type { PushAction, PushCondition, PushRule, PushRuleset } from './types.ts'

/** What happens with an event for one user. */
export type PushOutcome = {
  readonly notify: boolean
  readonly highlight: boolean
  readonly sound?: string
  /** All tweaks, as the push gateway gets them. */
  readonly tweaks: JsonObject
}

export const NO_OUTCOME: PushOutcome = Object.freeze({
  notify: false,
  highlight: false,
  tweaks: Object.freeze(Object.create(null)) as JsonObject,
})

type Scalar = null | boolean | number | string

/** A condition with everything parsed that does not depend on the event. `self` stands for the reader's user id. */
export type CompiledCondition =
  | {
      readonly kind: 'glob'
      readonly key: string
      readonly path: readonly string[]
      readonly glob: Glob
      readonly words: boolean
    }
  | { readonly kind: 'equals'; readonly key: string; readonly path: readonly string[]; readonly lowercase: string }
  | { readonly kind: 'self'; readonly key: string; readonly path: readonly string[] }
  | { readonly kind: 'is'; readonly key: string; readonly path: readonly string[]; readonly value: Scalar }
  | { readonly kind: 'contains'; readonly key: string; readonly path: readonly string[]; readonly value: Scalar }
  | { readonly kind: 'contains_self'; readonly key: string; readonly path: readonly string[] }
  | { readonly kind: 'display_name' }
  | { readonly kind: 'member_count'; readonly least: number; readonly most: number }
  | { readonly kind: 'sender_level'; readonly key: string }
  | { readonly kind: 'thread_subscription'; readonly subscribed: boolean }
  | { readonly kind: 'without_mentions' }
  | { readonly kind: 'never' }

export type CompiledRule = { readonly conditions: readonly CompiledCondition[]; readonly outcome: PushOutcome }

/**
 * A ruleset ready for evaluation. Disabled rules are left out. Room and sender rules are found by their id, however
 * many there are.
 */
export type CompiledRules = {
  readonly override: readonly CompiledRule[]
  readonly content: readonly CompiledRule[]
  readonly postcontent: readonly CompiledRule[]
  readonly room: ReadonlyMap<string, PushOutcome>
  readonly sender: ReadonlyMap<string, PushOutcome>
  readonly underride: readonly CompiledRule[]
  /** Whether the reader's display name in the room matters; if not, it need not be known. */
  readonly usesDisplayName: boolean
}

const BODY = 'content.body'
/** MSC4306. */
const THREAD_SUBSCRIPTION = 'io.element.msc4306.thread_subscription'
const NEVER: CompiledCondition = { kind: 'never' }

/** Prepares the rules of `userId`, once per change of the ruleset. */
export function compileRules(ruleset: PushRuleset, userId: UserId): CompiledRules {
  const byConditions = (rules: readonly PushRule[]) =>
    rules.filter(isEnabled).map((rule) => ({
      conditions: [
        ...reservation(rule),
        ...(rule.conditions ?? []).map((condition) => compileCondition(condition, userId)),
      ],
      outcome: outcomeOf(rule.actions),
    }))
  const byId = (rules: readonly PushRule[]) =>
    new Map(rules.filter(isEnabled).map((rule) => [rule.rule_id, outcomeOf(rule.actions)]))
  const override = byConditions(ruleset.override)
  const underride = byConditions(ruleset.underride)
  const content = ruleset.content.filter(isEnabled).map((rule) => ({
    conditions: [...reservation(rule), rule.pattern === undefined ? NEVER : eventMatch(BODY, rule.pattern)],
    outcome: outcomeOf(rule.actions),
  }))
  const postcontent = byConditions(ruleset.postcontent ?? [])
  const usesDisplayName = [override, underride].some((rules) =>
    rules.some((rule) => rule.conditions.some((condition) => condition.kind === 'display_name')),
  )
  const [room, sender] = [byId(ruleset.room), byId(ruleset.sender)]
  return { override, content, postcontent, room, sender, underride, usesDisplayName }
}

/** Spec: v1.16, "Predefined Rules": what looks for mentions in the body is ignored where an event has `m.mentions`. */
function reservation(rule: PushRule): CompiledCondition[] {
  return rule.default && LEGACY_MENTION_RULES.has(rule.rule_id) ? [{ kind: 'without_mentions' }] : []
}

function isEnabled(rule: PushRule): boolean {
  return rule.enabled
}

/** Spec: "If a `highlight` tweak is given with no value, its value is defined to be `true`." */
function outcomeOf(actions: readonly PushAction[]): PushOutcome {
  const tweaks = Object.create(null) as Record<string, Json>
  let notify = false
  for (const action of actions) {
    if (action === 'notify') notify = true
    else if (typeof action === 'object' && typeof action.set_tweak === 'string') {
      const value = action.set_tweak === 'highlight' ? (action.value ?? true) : action.value
      if (value !== undefined) tweaks[action.set_tweak] = value
    }
  }
  const sound = tweaks.sound
  const highlight = tweaks.highlight === true
  return { notify, highlight, ...(typeof sound === 'string' ? { sound } : {}), tweaks }
}

/** Spec: "Unrecognised conditions MUST NOT match any events, effectively making the push rule disabled." */
function compileCondition(condition: PushCondition, userId: UserId): CompiledCondition {
  const { kind, key, pattern, value, is, subscribed } = condition
  switch (kind) {
    case 'event_match':
      if (typeof key !== 'string' || typeof pattern !== 'string') return NEVER
      return pattern === userId && key !== BODY ? { kind: 'self', key, path: parsePath(key) } : eventMatch(key, pattern)
    case 'event_property_is':
      return typeof key === 'string' && isScalar(value) ? { kind: 'is', key, path: parsePath(key), value } : NEVER
    case 'event_property_contains':
      if (typeof key !== 'string' || !isScalar(value)) return NEVER
      if (value === userId) return { kind: 'contains_self', key, path: parsePath(key) }
      return { kind: 'contains', key, path: parsePath(key), value }
    case 'contains_display_name':
      return { kind: 'display_name' }
    case 'room_member_count':
      return typeof is === 'string' ? memberCount(is) : NEVER
    case 'sender_notification_permission':
      return typeof key === 'string' ? { kind: 'sender_level', key } : NEVER
    case THREAD_SUBSCRIPTION:
      return typeof subscribed === 'boolean' ? { kind: 'thread_subscription', subscribed } : NEVER
    default:
      return NEVER
  }
}

function eventMatch(key: string, pattern: string): CompiledCondition {
  const path = parsePath(key)
  const lowercase = pattern.toLowerCase()
  if (key !== BODY && !/[*?]/.test(pattern)) return { kind: 'equals', key, path, lowercase }
  return { kind: 'glob', key, path, glob: compileGlob(lowercase), words: key === BODY }
}

/** Spec: "A decimal integer optionally prefixed by one of, `==`, `<`, `>`, `>=` or `<=`." */
function memberCount(is: string): CompiledCondition {
  const parts = /^(==|<=|>=|<|>)?([0-9]{1,15})$/.exec(is)
  if (parts === null) return NEVER
  const count = Number(parts[2])
  switch (parts[1]) {
    case '<':
      return { kind: 'member_count', least: 0, most: count - 1 }
    case '<=':
      return { kind: 'member_count', least: 0, most: count }
    case '>':
      return { kind: 'member_count', least: count + 1, most: Number.POSITIVE_INFINITY }
    case '>=':
      return { kind: 'member_count', least: count, most: Number.POSITIVE_INFINITY }
    default:
      return { kind: 'member_count', least: count, most: count }
  }
}

function isScalar(value: Json | undefined): value is Scalar {
  return (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isSafeInteger(value))
  )
}
