import type { UserId } from '../ids.ts'
import {
  type DefaultRuleChange,
  PUSH_KINDS,
  type PushAction,
  type PushCondition,
  type PushFeatures,
  type PushKind,
  type PushRule,
  type PushRuleset,
  type StoredPushRules,
} from './types.ts'

export const MASTER_RULE_ID = '.m.rule.master'

const sound = (value: string): PushAction => ({ set_tweak: 'sound', value })
const highlight: PushAction = { set_tweak: 'highlight' }

const matches = (key: string, pattern: string): PushCondition => ({ kind: 'event_match', key, pattern })
const mayNotifyRoom: PushCondition = { kind: 'sender_notification_permission', key: 'room' }
const mentioned: PushAction[] = ['notify', sound('default'), highlight]
const twoMembers: PushCondition = { kind: 'room_member_count', is: '2' }

function rule(ruleId: string, conditions: PushCondition[], actions: PushAction[], enabled = true): PushRule {
  return { rule_id: ruleId, default: true, enabled, conditions, actions }
}

/**
 * Rules that look for mentions in the body, and do not hold for events that say themselves whom they mention.
 *
 * Spec: Client-Server API, "Predefined Rules" (v1.16); removed in v1.17 (MSC4210).
 */
export const LEGACY_MENTION_RULES: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.roomnotif',
  '.m.rule.contains_user_name',
])

const poll = (name: string): PushCondition => matches('type', `org.matrix.msc3381.poll.${name}`)
const ifThere = (isThere: boolean, ...rules: PushRule[]): PushRule[] => (isThere ? rules : [])

/**
 * The default rules of a user, without any of the user's own.
 *
 * Spec: Client-Server API, "Predefined Rules" (v1.19). The rules that looked for mentions in the body are gone since
 * v1.17, so nothing here depends on display names. MSC3930: polls; MSC4028: everything encrypted; MSC4306: threads.
 */
export function defaultRuleset(userId: UserId, features: PushFeatures): PushRuleset {
  return {
    override: [
      rule(MASTER_RULE_ID, [], [], false),
      ...ifThere(
        features.msc4028,
        rule('.org.matrix.msc4028.encrypted_event', [matches('type', 'm.room.encrypted')], ['notify']),
      ),
      rule('.m.rule.suppress_notices', [matches('content.msgtype', 'm.notice')], []),
      rule(
        '.m.rule.invite_for_me',
        [matches('type', 'm.room.member'), matches('content.membership', 'invite'), matches('state_key', userId)],
        ['notify', sound('default')],
      ),
      rule('.m.rule.member_event', [matches('type', 'm.room.member')], []),
      rule(
        '.m.rule.is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        mentioned,
      ),
      ...ifThere(
        features.legacy_mentions,
        rule('.m.rule.contains_display_name', [{ kind: 'contains_display_name' }], mentioned),
      ),
      rule(
        '.m.rule.is_room_mention',
        [{ kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true }, mayNotifyRoom],
        ['notify', highlight],
      ),
      ...ifThere(
        features.legacy_mentions,
        rule('.m.rule.roomnotif', [matches('content.body', '@room'), mayNotifyRoom], ['notify', highlight]),
      ),
      rule('.m.rule.tombstone', [matches('type', 'm.room.tombstone'), matches('state_key', '')], ['notify', highlight]),
      rule('.m.rule.reaction', [matches('type', 'm.reaction')], []),
      rule('.m.rule.room.server_acl', [matches('type', 'm.room.server_acl'), matches('state_key', '')], []),
      rule(
        '.m.rule.suppress_edits',
        [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
        [],
      ),
      ...ifThere(features.msc3930, rule('.org.matrix.msc3930.rule.poll_response', [poll('response')], [])),
    ],
    content: ifThere(features.legacy_mentions, userNameRule(userId)),
    ...(features.msc4306 && { postcontent: threadRules }),
    room: [],
    sender: [],
    underride: [
      rule('.m.rule.call', [matches('type', 'm.call.invite')], ['notify', sound('ring')]),
      rule(
        '.m.rule.encrypted_room_one_to_one',
        [twoMembers, matches('type', 'm.room.encrypted')],
        ['notify', sound('default')],
      ),
      rule('.m.rule.room_one_to_one', [twoMembers, matches('type', 'm.room.message')], ['notify', sound('default')]),
      rule('.m.rule.message', [matches('type', 'm.room.message')], ['notify']),
      rule('.m.rule.encrypted', [matches('type', 'm.room.encrypted')], ['notify']),
      ...ifThere(features.msc3930, ...pollRules),
    ],
  }
}

/** Spec: v1.16: "Matches any message whose content contains the local part of the user's Matrix ID". */
function userNameRule(userId: UserId): PushRule {
  const pattern = userId.slice(1, userId.indexOf(':'))
  return { rule_id: '.m.rule.contains_user_name', default: true, enabled: true, pattern, actions: mentioned }
}

const pollRules = ['poll_start', 'poll_end'].flatMap((name) => {
  const happens = poll(name.slice('poll_'.length))
  return [
    rule(`.org.matrix.msc3930.rule.${name}_one_to_one`, [twoMembers, happens], ['notify', sound('default')]),
    rule(`.org.matrix.msc3930.rule.${name}`, [happens], ['notify']),
  ]
})

const subscription = (subscribed: boolean): PushCondition => ({
  kind: 'io.element.msc4306.thread_subscription',
  subscribed,
})
const threadRules = [
  rule('.io.element.msc4306.rule.unsubscribed_thread', [subscription(false)], []),
  rule('.io.element.msc4306.rule.subscribed_thread', [subscription(true)], ['notify', sound('default')]),
]

/** Tells whether there is a default rule of this kind and id. */
export function isDefaultRule(kind: PushKind, ruleId: string, features: PushFeatures): boolean {
  return (defaultRuleset('@:', features)[kind] ?? []).some((known) => known.rule_id === ruleId)
}

/**
 * All rules of a user: the stored ones woven into the current defaults.
 *
 * Spec: "They operate at a lower priority than 'user-defined rules', except for the `.m.rule.master` rule which has
 * always a higher priority than any other rule."
 */
export function rulesetOf(userId: UserId, stored: StoredPushRules, features: PushFeatures): PushRuleset {
  const defaults = defaultRuleset(userId, features)
  const ruleset = {} as { [K in PushKind]: readonly PushRule[] }
  for (const kind of PUSH_KINDS) {
    const predefined = defaults[kind]
    if (!predefined) continue
    const own = (stored.rules?.[kind] ?? []).map((known): PushRule => ({ ...known, default: false }))
    const changed = predefined.map((known) => ({ ...known, ...changeOf(stored, known.rule_id) }))
    const first = changed.filter((known) => known.rule_id === MASTER_RULE_ID)
    const rest = changed.filter((known) => known.rule_id !== MASTER_RULE_ID)
    ruleset[kind] = [...first, ...own, ...rest]
  }
  return ruleset
}

function changeOf(stored: StoredPushRules, ruleId: string): DefaultRuleChange | undefined {
  return stored.defaults !== undefined && Object.hasOwn(stored.defaults, ruleId) ? stored.defaults[ruleId] : undefined
}

/** Tells whether the user changed nothing, so that `defaultOutcome` speaks for them. */
export function hasOnlyDefaults(stored: StoredPushRules): boolean {
  const own = PUSH_KINDS.some((kind) => (stored.rules?.[kind]?.length ?? 0) > 0)
  return !own && (stored.defaults === undefined || Object.keys(stored.defaults).length === 0)
}
