import type { RoomEvent } from '../event.ts'
import { parseUserId } from '../ids.ts'
import type { Json, JsonObject } from '../json.ts'
import { creatorsOf, namedLevels, parseLevel } from '../power-levels.ts'
import type { RoomRules } from '../room-versions.ts'
import { ALLOW, type AuthState, reject, rejectMalformed, type Verdict } from './verdict.ts'

export type PowerLevelsContext = {
  readonly state: AuthState
  readonly create: RoomEvent
  readonly senderLevel: number
  readonly rules: RoomRules
}

/** Spec: room versions, "Authorisation rules", 10 in the numbers of room version 12 (v1.19). */
export function checkPowerLevels(event: RoomEvent, context: PowerLevelsContext): Verdict {
  const { state, create, rules } = context
  const { content } = event.pdu
  // 10.1 to 10.3
  const formatError = rules.auth.integerPowerLevels ? levelsError(content) : undefined
  if (formatError !== undefined) return rejectMalformed(formatError)
  if (!areUserLevels(content.users, rules)) return rejectMalformed('users does not give levels to user ids')
  // 10.4, from version 12 on: "If the users property in content contains the sender of the m.room.create event or any of
  // the additional_creators array (if present) from the content of the m.room.create event, reject."
  if (rules.auth.privilegedCreators) {
    const users = asObject(content.users)
    if (creatorsOf(create, rules).some((creator) => Object.hasOwn(users, creator))) {
      return rejectMalformed('users has a creator of the room')
    }
  }
  // 10.5 "If there is no previous m.room.power_levels event in the room, allow."
  const current = state.get('m.room.power_levels', '')?.pdu.content
  if (current === undefined) return ALLOW
  // 10.6 to 10.10, then "Otherwise, allow."
  return checkChanges(current, content, event.pdu.sender, context)
}

/** From version 10 on. */
function levelsError(content: JsonObject): string | undefined {
  // 10.1 "If any of the properties users_default, events_default, state_default, ban, redact, kick, or invite in content
  // are present and not an integer, reject."
  const notInteger = namedLevels.find((name) => Object.hasOwn(content, name) && !Number.isInteger(content[name]))
  if (notInteger !== undefined) return `${notInteger} is not an integer`
  // 10.2 "If either of the properties events or notifications in content are present and not an object with values that
  // are integers, reject."
  for (const name of ['events', 'notifications']) {
    if (!Object.hasOwn(content, name)) continue
    const value = content[name]
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isObject || !Object.values(value).every(Number.isInteger)) return `${name} does not give levels`
  }
  return undefined
}

/**
 * 10.3 "If the users property in content is not an object with keys that are valid user IDs with values that are
 * integers, reject." Before version 10, "(or a string that is an integer)".
 */
function areUserLevels(users: Json | undefined, rules: RoomRules): boolean {
  if (users === undefined) return true
  if (typeof users !== 'object' || users === null || Array.isArray(users)) return false
  return Object.entries(users).every(
    ([userId, level]) => parseUserId(userId) !== undefined && parseLevel(level, rules) !== undefined,
  )
}

function checkChanges(current: JsonObject, proposed: JsonObject, sender: string, context: PowerLevelsContext): Verdict {
  const { senderLevel, rules } = context
  // 10.6 "For the properties users_default, events_default, state_default, ban, redact, kick, invite check if they were
  // added, changed or removed. For each found alteration: If the current value is higher than the sender's current power
  // level, reject. If the new value is higher than the sender's current power level, reject."
  for (const name of namedLevels) {
    const [before, after] = [levelOf(current, name, rules), levelOf(proposed, name, rules)]
    if (before !== after && isAbove(senderLevel, before, after)) return reject(`${name} is above the sender's level`)
  }
  // 10.7 and 10.8: the same for each entry of `events`, and from version 6 on of `notifications`.
  for (const map of rules.auth.checksNotificationLevels ? ['events', 'notifications'] : ['events']) {
    for (const [key, before, after] of entriesOfBoth(current, proposed, map, rules)) {
      if (before !== after && isAbove(senderLevel, before, after)) {
        return reject(`${map} has a level for ${key} above the sender's`)
      }
    }
  }
  for (const [userId, before, after] of entriesOfBoth(current, proposed, 'users', rules)) {
    if (before === after) continue
    // 10.9 "For each entry being changed in, or removed from, the users property, other than the sender's own entry: If
    // the current value is greater than or equal to the sender's current power level, reject."
    if (before !== undefined && userId !== sender && before >= senderLevel) {
      return reject(`The level of ${userId} is not below the sender's`)
    }
    // 10.10 "For each entry being added to, or changed in, the users property: If the new value is greater than the
    // sender's current power level, reject."
    if (after !== undefined && after > senderLevel) return reject(`The level for ${userId} is above the sender's`)
  }
  return ALLOW
}

function isAbove(senderLevel: number, before: number | undefined, after: number | undefined): boolean {
  return (before !== undefined && before > senderLevel) || (after !== undefined && after > senderLevel)
}

/** The keys that are in the map `name` of either content, with their levels before and after. */
function* entriesOfBoth(
  current: JsonObject,
  proposed: JsonObject,
  name: string,
  rules: RoomRules,
): Generator<readonly [string, number | undefined, number | undefined]> {
  const before = asObject(current[name])
  const after = asObject(proposed[name])
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    yield [key, levelOf(before, key, rules), levelOf(after, key, rules)]
  }
}

/**
 * Undefined where the key is absent. Before version 10 the rules say nothing of values that are no levels; nobody can be
 * known to be above them, so they count as infinitely high.
 */
function levelOf(object: JsonObject, key: string, rules: RoomRules): number | undefined {
  if (!Object.hasOwn(object, key)) return undefined
  return parseLevel(object[key], rules) ?? Number.POSITIVE_INFINITY
}

function asObject(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}
