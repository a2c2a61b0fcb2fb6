import type { Json, JsonObject } from '../json.ts'

/**
 * The kinds of push rules, in the order in which they are tried.
 *
 * Spec: Client-Server API, "Push Rules" (v1.19); MSC4306: `postcontent`, where users have no rules of their own.
 */
export const PUSH_KINDS = ['override', 'content', 'postcontent', 'room', 'sender', 'underride'] as const

export type PushKind = (typeof PUSH_KINDS)[number]

/**
 * Which of the default rules that are not in the specification there are: the switches under `experimental`.
 * `legacy_mentions`: those that were until v1.17, and look for names in what is said.
 */
export type PushFeatures = {
  readonly msc3930: boolean
  readonly msc4028: boolean
  readonly msc4306: boolean
  readonly legacy_mentions: boolean
}

/** `'notify'`, or `{ set_tweak, value? }`. Historical actions never get this far. */
export type PushAction = 'notify' | { readonly set_tweak: string; readonly value?: Json }

/** As the client wrote it: conditions of unknown kinds are kept, and never match. */
export type PushCondition = JsonObject

/** A push rule as clients read it. `conditions` belong to override and underride rules, `pattern` to content rules. */
export type PushRule = {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly PushAction[]
  readonly conditions?: readonly PushCondition[]
  readonly pattern?: string
}

/** All rules of a user, the most important first within each kind. */
export type PushRuleset = { readonly [K in Exclude<PushKind, 'postcontent'>]: readonly PushRule[] } & {
  /** Only with MSC4306. */
  readonly postcontent?: readonly PushRule[]
}

/** A rule the user made. */
export type StoredPushRule = Omit<PushRule, 'default'>

/** What the user changed on a default rule. */
export type DefaultRuleChange = { readonly enabled?: boolean; readonly actions?: readonly PushAction[] }

/**
 * What is stored of a user's push rules: only what differs from the defaults, so that a default rule the specification
 * adds later reaches everybody. A user who changed nothing has `{}`.
 */
export type StoredPushRules = {
  readonly rules?: { readonly [K in PushKind]?: readonly StoredPushRule[] }
  /** By the id of the default rule. */
  readonly defaults?: { readonly [ruleId: string]: DefaultRuleChange }
}
