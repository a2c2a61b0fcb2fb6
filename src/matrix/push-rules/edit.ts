import { MatrixError } from '../errors.ts'
import type { RoomId } from '../ids.ts'
import type { Json, JsonObject } from '../json.ts'
import { MAX_PUSH_RULE_BYTES, MAX_PUSH_RULES } from '../limits.ts'
import { isDefaultRule } from './default-rules.ts'
import {
  type DefaultRuleChange,
  PUSH_KINDS,
  type PushAction,
  type PushCondition,
  type PushFeatures,
  type PushKind,
  type StoredPushRule,
  type StoredPushRules,
} from './types.ts'

/** UTF-8 bytes. Ours: a room id or user id of 255 and some room around it. */
const MAX_RULE_ID_BYTES = 300

/** The kind named in a path, or undefined. */
export function parsePushKind(text: string): PushKind | undefined {
  return PUSH_KINDS.find((kind) => kind === text)
}

/** The body of `PUT /pushrules/global/{kind}/{ruleId}`, unchecked. */
export type NewPushRule = { readonly actions?: Json; readonly conditions?: Json; readonly pattern?: Json }

/** Rules beside which a new rule is to be placed. */
export type Placement = { readonly before?: string | undefined; readonly after?: string | undefined }

/**
 * Adds a rule of the user's own, or changes the one of the same kind and id, which stays enabled or disabled, and stays
 * where it is unless a placement is given.
 *
 * Spec: Client-Server API, `PUT /pushrules/global/{kind}/{ruleId}` (v1.19).
 *
 * @throws {MatrixError} M_INVALID_PARAM for a bad id, action, condition or pattern, and for the kind `postcontent`; M_UNKNOWN with status 400 when the
 *   rule named by the placement does not exist or there are too many rules; M_TOO_LARGE
 */
export function addRule(
  stored: StoredPushRules,
  kind: PushKind,
  ruleId: string,
  rule: NewPushRule,
  placement: Placement = {},
): StoredPushRules {
  if (kind === 'postcontent') throw new MatrixError('M_INVALID_PARAM', 'Nobody has postcontent rules of their own')
  checkRuleId(ruleId)
  const rules = stored.rules?.[kind] ?? []
  const present = rules.findIndex((known) => known.rule_id === ruleId)
  const added = storedRule(kind, ruleId, rule, rules[present]?.enabled ?? true)
  if (present < 0 && countRules(stored) >= MAX_PUSH_RULES) {
    throw new MatrixError('M_UNKNOWN', `There may be at most ${MAX_PUSH_RULES} push rules`, { status: 400 })
  }
  // Spec: "If both `after` and `before` are provided, the new or updated rule must be the next most important rule with
  // respect to the rule identified by `before`."
  const neighbour = placement.before ?? placement.after
  if (neighbour === undefined && present >= 0) return withRules(stored, kind, rules.with(present, added))
  if (neighbour === ruleId && present >= 0) return withRules(stored, kind, rules.with(present, added))
  const others = rules.filter((known) => known.rule_id !== ruleId)
  const at = neighbour === undefined ? 0 : placeOf(others, neighbour) + (placement.before === undefined ? 1 : 0)
  return withRules(stored, kind, others.toSpliced(at, 0, added))
}

/**
 * Removes a rule of the user's own.
 *
 * @throws {MatrixError} M_NOT_FOUND; M_INVALID_PARAM for a default rule, which can only be disabled
 */
export function removeRule(
  stored: StoredPushRules,
  kind: PushKind,
  ruleId: string,
  features: PushFeatures,
): StoredPushRules {
  if (isDefaultRule(kind, ruleId, features))
    throw new MatrixError('M_INVALID_PARAM', 'A default push rule cannot be removed')
  const rules = stored.rules?.[kind] ?? []
  if (!rules.some((known) => known.rule_id === ruleId)) throw notFound()
  return withRules(
    stored,
    kind,
    rules.filter((known) => known.rule_id !== ruleId),
  )
}

/**
 * Enables or disables a rule, default or not.
 *
 * @throws {MatrixError} M_NOT_FOUND
 */
export function setEnabled(
  stored: StoredPushRules,
  kind: PushKind,
  ruleId: string,
  enabled: boolean,
  features: PushFeatures,
): StoredPushRules {
  return change(stored, kind, ruleId, { enabled }, features)
}

/**
 * Replaces the actions of a rule, default or not.
 *
 * @throws {MatrixError} M_NOT_FOUND; M_INVALID_PARAM for a bad action; M_TOO_LARGE
 */
export function setActions(
  stored: StoredPushRules,
  kind: PushKind,
  ruleId: string,
  actions: Json,
  features: PushFeatures,
): StoredPushRules {
  const parsed = parseActions(actions)
  checkSize(parsed)
  return change(stored, kind, ruleId, { actions: parsed }, features)
}

/**
 * Copies what a user has said about a room for the one that takes its place: room rules, and rules by conditions that name
 * the room and are named after it. What the user has said about the new room already stays.
 *
 * @returns what was given when there is nothing to copy.
 */
export function copyToRoom(stored: StoredPushRules, from: RoomId, to: RoomId): StoredPushRules {
  let copied = stored
  for (const kind of ['override', 'room', 'underride'] as const) {
    for (const [at, rule] of (stored.rules?.[kind] ?? []).entries()) {
      if (kind === 'room' ? rule.rule_id !== from : !namesRoom(rule, from)) continue
      const rules = copied.rules?.[kind] ?? []
      const ruleId = rule.rule_id.replaceAll(from, to)
      if (rules.some((known) => known.rule_id === ruleId) || countRules(copied) >= MAX_PUSH_RULES) continue
      const conditions = rule.conditions?.map((condition) =>
        isAboutRoom(condition, from) ? { ...condition, pattern: to } : condition,
      )
      const copy = { ...rule, rule_id: ruleId, ...(conditions && { conditions }) }
      // Each copy made before moved what follows by one.
      copied = withRules(copied, kind, rules.toSpliced(at + 1 + rules.length - stored.rules![kind]!.length, 0, copy))
    }
  }
  return copied
}

function namesRoom({ rule_id: ruleId, conditions }: StoredPushRule, room: RoomId): boolean {
  return ruleId.includes(room) && conditions?.some((condition) => isAboutRoom(condition, room)) === true
}

function isAboutRoom({ kind, key, pattern }: PushCondition, room: RoomId): boolean {
  return kind === 'event_match' && key === 'room_id' && pattern === room
}

function change(
  stored: StoredPushRules,
  kind: PushKind,
  ruleId: string,
  changes: DefaultRuleChange,
  features: PushFeatures,
): StoredPushRules {
  if (isDefaultRule(kind, ruleId, features)) {
    const defaults = stored.defaults ?? {}
    return { ...stored, defaults: { ...defaults, [ruleId]: { ...defaults[ruleId], ...changes } } }
  }
  const rules = stored.rules?.[kind] ?? []
  const at = rules.findIndex((known) => known.rule_id === ruleId)
  const present = rules[at]
  if (present === undefined) throw notFound()
  const changed = { ...present, ...changes }
  if (changes.actions !== undefined) checkSize(changed)
  return withRules(stored, kind, rules.with(at, changed))
}

function withRules(stored: StoredPushRules, kind: PushKind, rules: readonly StoredPushRule[]): StoredPushRules {
  return { ...stored, rules: { ...stored.rules, [kind]: rules } }
}

function countRules(stored: StoredPushRules): number {
  return PUSH_KINDS.reduce((count, kind) => count + (stored.rules?.[kind]?.length ?? 0), 0)
}

/** Spec: "It is not possible to add a rule relative to a predefined server rule." */
function placeOf(rules: readonly StoredPushRule[], ruleId: string): number {
  const at = rules.findIndex((known) => known.rule_id === ruleId)
  if (at < 0) throw new MatrixError('M_UNKNOWN', 'before/after rule not found', { status: 400 })
  return at
}

/**
 * Spec: "If the string starts with a dot ("."), the request MUST be rejected as this is reserved for server-default
 * rules. Slashes ("/") and backslashes ("\\") are also not allowed."
 */
function checkRuleId(ruleId: string): void {
  if (Buffer.byteLength(ruleId) > MAX_RULE_ID_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `A rule id may have at most ${MAX_RULE_ID_BYTES} bytes`)
  }
  if (ruleId === '') throw new MatrixError('M_INVALID_PARAM', 'A rule id may not be empty')
  if (ruleId.startsWith('.')) throw new MatrixError('M_INVALID_PARAM', 'Rule ids that start with a dot are reserved')
  if (/[/\\]/.test(ruleId)) throw new MatrixError('M_INVALID_PARAM', 'A rule id may not contain slashes or backslashes')
}

function storedRule(kind: PushKind, ruleId: string, rule: NewPushRule, enabled: boolean): StoredPushRule {
  const parsed = { rule_id: ruleId, enabled, actions: parseActions(rule.actions), ...parseSubject(kind, rule) }
  checkSize(parsed)
  return parsed
}

/** What the rule looks at: room and sender rules say it by their id. */
function parseSubject(kind: PushKind, rule: NewPushRule): Pick<StoredPushRule, 'conditions' | 'pattern'> {
  if (kind === 'override' || kind === 'underride') return { conditions: parseConditions(rule.conditions ?? []) }
  if (kind !== 'content') return {}
  if (typeof rule.pattern !== 'string') throw new MatrixError('M_INVALID_PARAM', 'A content rule needs a pattern')
  return { pattern: rule.pattern }
}

function parseConditions(conditions: Json): readonly PushCondition[] {
  if (!Array.isArray(conditions)) throw new MatrixError('M_INVALID_PARAM', 'conditions must be an array')
  if (!conditions.every((condition) => isObject(condition) && typeof condition.kind === 'string')) {
    throw new MatrixError('M_INVALID_PARAM', 'A condition must be an object with a kind')
  }
  return conditions as readonly PushCondition[]
}

/** Spec: "Clients and homeservers MUST ignore these actions". They are kept, as clients that set them look for them again. */
const HISTORICAL_ACTIONS: readonly Json[] = ['dont_notify', 'coalesce']

function parseActions(actions: Json | undefined): readonly PushAction[] {
  if (!Array.isArray(actions)) throw new MatrixError('M_INVALID_PARAM', 'actions must be an array')
  return (actions as readonly Json[]).map(parseAction)
}

function parseAction(action: Json): PushAction {
  if (action === 'notify') return action
  if (HISTORICAL_ACTIONS.includes(action)) return action as PushAction
  if (isObject(action) && typeof action.set_tweak === 'string') return action as PushAction
  throw new MatrixError('M_INVALID_PARAM', 'An action must be "notify" or an object with set_tweak')
}

function checkSize(rule: StoredPushRule | readonly PushAction[]): void {
  if (Buffer.byteLength(JSON.stringify(rule)) > MAX_PUSH_RULE_BYTES) {
    throw new MatrixError('M_TOO_LARGE', `A push rule may have at most ${MAX_PUSH_RULE_BYTES} bytes`)
  }
}

function isObject(json: Json): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function notFound(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'The push rule was not found')
}
