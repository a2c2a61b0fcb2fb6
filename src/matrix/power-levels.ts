import type { RoomEvent } from './event.ts'
import { parseUserId, type UserId } from './ids.ts'
import type { Json, JsonObject } from './json.ts'
import type { RoomRules } from './room-versions.ts'

/** The levels that are not per user, event type or notification, and what they are where none is given. */
const NAMED_LEVELS = {
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
} as const

export type NamedLevel = keyof typeof NAMED_LEVELS

export const namedLevels = Object.keys(NAMED_LEVELS) as readonly NamedLevel[]

/**
 * The power levels in force at a point of a room, with the defaults where the event is absent or says nothing. What
 * cannot be read as a level counts as not given.
 */
export type PowerLevels = {
  /** Infinity for the creators of a room of version 12 or later. */
  userLevel(userId: string): number
  /** The level needed to send an event. */
  requiredFor(type: string, isState: boolean): number
  /** The level needed to notify the room, by the key under `notifications`. */
  notificationLevel(name: string): number
  readonly ban: number
  readonly kick: number
  readonly invite: number
  readonly redact: number
  readonly usersDefault: number
  readonly eventsDefault: number
  readonly stateDefault: number
}

/**
 * `content` is that of the `m.room.power_levels` event in force, if any.
 *
 * Spec: Client-Server API, `m.room.power_levels`; Server-Server API, "Definitions" of the checks on a PDU; room version
 * 12, "Authorisation rules" (v1.19).
 */
export function powerLevelsOf(content: JsonObject | undefined, createEvent: RoomEvent, rules: RoomRules): PowerLevels {
  if (content === undefined) return readPowerLevels(content, createEvent, rules)
  const before = remembered.get(content)
  if (before?.createEvent === createEvent && before.rules === rules) return before.levels
  const levels = readPowerLevels(content, createEvent, rules)
  remembered.set(content, { createEvent, rules, levels })
  return levels
}

/** Every event of a room is judged by the same levels until they change: what was made of a content lasts as long as it does. */
const remembered = new WeakMap<JsonObject, { createEvent: RoomEvent; rules: RoomRules; levels: PowerLevels }>()

function readPowerLevels(content: JsonObject | undefined, createEvent: RoomEvent, rules: RoomRules): PowerLevels {
  const named = (name: NamedLevel) => parseLevel(memberOf(content, name), rules) ?? NAMED_LEVELS[name]
  const entry = (map: string, key: string) => parseLevel(memberOf(memberOf(content, map), key), rules)
  const usersDefault = named('users_default')
  const stateDefault = named('state_default')
  const eventsDefault = named('events_default')
  return {
    userLevel(userId) {
      if (rules.auth.privilegedCreators && isCreator(userId, createEvent, rules)) return Number.POSITIVE_INFINITY
      if (content === undefined) return isCreator(userId, createEvent, rules) ? CREATOR_LEVEL : 0
      return entry('users', userId) ?? usersDefault
    },
    requiredFor: (type, isState) => entry('events', type) ?? (isState ? stateDefault : eventsDefault),
    notificationLevel: (name) => entry('notifications', name) ?? DEFAULT_NOTIFICATION_LEVEL,
    ban: named('ban'),
    kick: named('kick'),
    invite: named('invite'),
    redact: named('redact'),
    usersDefault,
    eventsDefault,
    stateDefault,
  }
}

/**
 * The creators of a room: the sender of the create event (in older versions the user its content names), and from
 * version 12 on the additional ones.
 *
 * Spec: room version 12, "Event format"; room version 11, "Remove the creator property" (v1.19).
 */
export function creatorsOf(createEvent: RoomEvent, rules: RoomRules): readonly UserId[] {
  const { content, sender } = createEvent.pdu
  if (rules.auth.creatorInContent) {
    const creator = typeof content.creator === 'string' ? parseUserId(content.creator) : undefined
    return creator === undefined ? [] : [creator]
  }
  if (!rules.auth.privilegedCreators || !Array.isArray(content.additional_creators)) return [sender]
  return [sender, ...(content.additional_creators as readonly UserId[])]
}

export function isCreator(userId: string, createEvent: RoomEvent, rules: RoomRules): boolean {
  return (creatorsOf(createEvent, rules) as readonly string[]).includes(userId)
}

/**
 * A level as an event writes it. Room versions before 10 also take strings of an integer, those before 6 also floats,
 * whose fraction is dropped. Undefined for all else.
 *
 * Spec: room versions 1 and 10, "Deprecated event content schemas" (v1.19).
 */
export function parseLevel(value: Json | undefined, rules: RoomRules): number | undefined {
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return value
    return rules.strictIntegers || !Number.isFinite(value) ? undefined : Math.trunc(value)
  }
  if (typeof value !== 'string' || rules.auth.integerPowerLevels) return undefined
  return /^\s*[+-]?[0-9]+\s*$/.test(value) ? Number(value) : undefined
}

const CREATOR_LEVEL = 100
/** Of `room`, the only notification the specification names; the others have no default of their own. */
const DEFAULT_NOTIFICATION_LEVEL = 50

function memberOf(object: Json | undefined, key: string): Json | undefined {
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return undefined
  return Object.hasOwn(object, key) ? (object as JsonObject)[key] : undefined
}
