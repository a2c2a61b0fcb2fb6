/** The room versions, each as what it changes in the one before. Spec: "Room Versions" (v1.19). */
export type RoomVersion =
  | '1'
  | '2'
  | '3'
  | '4'
  | '5'
  | '6'
  | '7'
  | '8'
  | '9'
  | '10'
  | '11'
  | '12'
  | 'org.matrix.msc3757.10'
  | 'org.matrix.msc3757.11'

/** Which room versions that are not in the specification are offered: the switches under `experimental`. */
export type RoomVersionFeatures = { readonly msc3757: boolean }

export type RoomRules = {
  readonly version: RoomVersion
  /**
   * What an event id is: `v1` a field of the event, and edges are pairs of an id and hashes; `v3` the reference hash in
   * base64; `v4` the same in URL-safe base64.
   */
  readonly eventFormat: 'v1' | 'v3' | 'v4'
  readonly stateResolution: 'v1' | 'v2' | 'v2.1'
  /** Canonical JSON is enforced: no floats, no integers beyond ±(2⁵³−1). */
  readonly strictIntegers: boolean
  /**
   * Types and state keys are measured in bytes. Servers once measured them in code points, so older rooms have longer ones.
   */
  readonly keysInBytes: boolean
  /** A signing key must have been valid at the event's `origin_server_ts`. */
  readonly enforceKeyValidity: boolean
  /** The room id is the create event's id with another sigil; the event has no `room_id`, and no event cites it. */
  readonly createEventIsRoomId: boolean
  /** Where an `m.room.redaction` names its target. */
  readonly redactsIn: 'event' | 'content'
  readonly redaction: RedactionRules
  readonly auth: AuthRules
}

export type RedactionRules = {
  /** Keys of the event that remain. */
  readonly event: ReadonlySet<string>
  /** By event type the keys of `content` that remain: all of them, or those listed. */
  readonly content: ReadonlyMap<string, 'all' | ReadonlySet<string>>
  /** Of `third_party_invite` in the content of a membership `signed` remains. */
  readonly keepsThirdPartySigned: boolean
}

export type AuthRules = {
  /** `m.room.aliases` belongs to the server its state key names. */
  readonly aliasesByServer: boolean
  /** `m.room.redaction` needs the redact level, or a target made by the same server. */
  readonly checksRedactions: boolean
  /** The creator is named in the create event's content; otherwise it is its sender. */
  readonly creatorInContent: boolean
  /** The `notifications` of power levels are held to the same rules as `events`. */
  readonly checksNotificationLevels: boolean
  readonly knock: boolean
  readonly restrictedJoin: boolean
  readonly knockRestricted: boolean
  /** Levels are integers, never strings. */
  readonly integerPowerLevels: boolean
  /** Creators, additional ones among them, are above every level and not listed in the power levels. */
  readonly privilegedCreators: boolean
  /** A state key may be a user id with something after it, and who stands above the user may set it too (MSC3757). */
  readonly ownedState: boolean
}

const keys = (...names: readonly string[]): ReadonlySet<string> => new Set(names)

const LEVELS = ['ban', 'events', 'events_default', 'kick', 'redact', 'state_default', 'users', 'users_default'] as const
const EVENT_KEYS = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
] as const

const V1: RoomRules = {
  version: '1',
  eventFormat: 'v1',
  stateResolution: 'v1',
  strictIntegers: false,
  keysInBytes: false,
  enforceKeyValidity: false,
  createEventIsRoomId: false,
  redactsIn: 'event',
  redaction: {
    event: keys(...EVENT_KEYS, 'prev_state', 'origin', 'membership'),
    content: new Map([
      ['m.room.member', keys('membership')],
      ['m.room.create', keys('creator')],
      ['m.room.join_rules', keys('join_rule')],
      ['m.room.power_levels', keys(...LEVELS)],
      ['m.room.aliases', keys('aliases')],
      ['m.room.history_visibility', keys('history_visibility')],
    ]),
    keepsThirdPartySigned: false,
  },
  auth: {
    aliasesByServer: true,
    checksRedactions: true,
    creatorInContent: true,
    checksNotificationLevels: false,
    knock: false,
    restrictedJoin: false,
    knockRestricted: false,
    integerPowerLevels: false,
    privilegedCreators: false,
    ownedState: false,
  },
}

const V2: RoomRules = { ...V1, version: '2', stateResolution: 'v2' }

const V3: RoomRules = { ...V2, version: '3', eventFormat: 'v3', auth: { ...V2.auth, checksRedactions: false } }

const V4: RoomRules = { ...V3, version: '4', eventFormat: 'v4' }

const V5: RoomRules = { ...V4, version: '5', enforceKeyValidity: true }

const V6: RoomRules = {
  ...V5,
  version: '6',
  strictIntegers: true,
  redaction: {
    ...V5.redaction,
    content: new Map([...V5.redaction.content].filter(([type]) => type !== 'm.room.aliases')),
  },
  auth: { ...V5.auth, aliasesByServer: false, checksNotificationLevels: true },
}

const V7: RoomRules = { ...V6, version: '7', auth: { ...V6.auth, knock: true } }

const V8: RoomRules = {
  ...V7,
  version: '8',
  redaction: {
    ...V7.redaction,
    content: new Map([...V7.redaction.content, ['m.room.join_rules', keys('join_rule', 'allow')]]),
  },
  auth: { ...V7.auth, restrictedJoin: true },
}

const V9: RoomRules = {
  ...V8,
  version: '9',
  redaction: {
    ...V8.redaction,
    content: new Map([
      ...V8.redaction.content,
      ['m.room.member', keys('membership', 'join_authorised_via_users_server')],
    ]),
  },
}

const V10: RoomRules = {
  ...V9,
  version: '10',
  auth: { ...V9.auth, knockRestricted: true, integerPowerLevels: true },
}

const V11: RoomRules = {
  ...V10,
  version: '11',
  keysInBytes: true,
  redactsIn: 'content',
  redaction: {
    event: keys(...EVENT_KEYS),
    content: new Map<string, 'all' | ReadonlySet<string>>([
      ...V10.redaction.content,
      ['m.room.create', 'all'],
      ['m.room.power_levels', keys(...LEVELS, 'invite')],
      ['m.room.redaction', keys('redacts')],
    ]),
    keepsThirdPartySigned: true,
  },
  auth: { ...V10.auth, creatorInContent: false },
}

const V12: RoomRules = {
  ...V11,
  version: '12',
  stateResolution: 'v2.1',
  createEventIsRoomId: true,
  auth: { ...V11.auth, privilegedCreators: true },
}

const V10Owned: RoomRules = { ...V10, version: 'org.matrix.msc3757.10', auth: { ...V10.auth, ownedState: true } }

const V11Owned: RoomRules = { ...V11, version: 'org.matrix.msc3757.11', auth: { ...V11.auth, ownedState: true } }

const stable = [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12]
const unstable = [
  { rules: V10Owned, feature: 'msc3757' },
  { rules: V11Owned, feature: 'msc3757' },
] as const

const rulesByVersion: ReadonlyMap<string, RoomRules> = new Map(
  [...stable, ...unstable.map(({ rules }) => rules)].map((rules) => [rules.version, rules]),
)

/** The versions of the specification. */
export const supportedRoomVersions: readonly RoomVersion[] = stable.map((rules) => rules.version)

/** The versions in which rooms may be made and joined. */
export function offeredRoomVersions(features: RoomVersionFeatures): ReadonlyMap<RoomVersion, 'stable' | 'unstable'> {
  const offered = new Map<RoomVersion, 'stable' | 'unstable'>(supportedRoomVersions.map((one) => [one, 'stable']))
  for (const { rules, feature } of unstable) if (features[feature]) offered.set(rules.version, 'unstable')
  return offered
}

/** The rules of a version in which rooms may be made and joined. Those that there are keep theirs: see `roomRules`. */
export function offeredRules(version: string, features: RoomVersionFeatures): RoomRules | undefined {
  return offeredRoomVersions(features).has(version as RoomVersion) ? rulesByVersion.get(version) : undefined
}

export const defaultRoomVersion: RoomVersion = '12'

/** The rules of a version, or undefined for one we do not know. */
export function roomRules(version: RoomVersion): RoomRules
export function roomRules(version: string): RoomRules | undefined
export function roomRules(version: string): RoomRules | undefined {
  return rulesByVersion.get(version)
}
