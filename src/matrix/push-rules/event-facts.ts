import type { RoomEvent } from '../event.ts'
import type { EventId, UserId } from '../ids.ts'
import type { Json, JsonObject } from '../json.ts'

/** What push rules ask about power levels; both answer with the defaults when the room has no power levels event. */
export type NotificationLevels = {
  userLevel(userId: UserId): number
  /** The level a sender needs for `notifications.<key>`. */
  notificationLevel(key: string): number
}

/**
 * What push rules want to know of an event and its room: the part that is the same for every reader, prepared once per
 * event. Properties are looked up when a rule first asks and remembered, also in lower case.
 */
export type EventFacts = {
  readonly event: RoomEvent
  /** Joined members. */
  readonly roomMemberCount: number
  readonly powerLevels: NotificationLevels
  /** The root of the thread that the event is in. */
  readonly threadRoot: EventId | undefined
  /** The value at a path, or undefined. `key` is the path as written in the rule, and names it in the memory. */
  valueAt(key: string, path: readonly string[]): Json | undefined
  /** The string at a path in lower case, or undefined if there is no string. */
  lowercaseAt(key: string, path: readonly string[]): string | undefined
}

/** Prepares an event for `evaluate` and `defaultOutcome`. */
export function eventFacts(event: RoomEvent, room: Pick<EventFacts, 'roomMemberCount' | 'powerLevels'>): EventFacts {
  const values = new Map<string, Json | undefined>()
  const lowercase = new Map<string, string | undefined>()
  function valueAt(key: string, path: readonly string[]): Json | undefined {
    if (values.has(key)) return values.get(key)
    const value = propertyOf(event, path)
    values.set(key, value)
    return value
  }
  function lowercaseAt(key: string, path: readonly string[]): string | undefined {
    if (lowercase.has(key)) return lowercase.get(key)
    const value = valueAt(key, path)
    const lower = typeof value === 'string' ? value.toLowerCase() : undefined
    lowercase.set(key, lower)
    return lower
  }
  return { event, ...room, threadRoot: threadRootOf(event.pdu.content), valueAt, lowercaseAt }
}

/** Spec: Client-Server API, "Threading": the event that a relation of the type `m.thread` points to. */
export function threadRootOf(content: JsonObject): EventId | undefined {
  const relation = content['m.relates_to'] as JsonObject | null | undefined
  if (typeof relation !== 'object' || relation?.rel_type !== 'm.thread') return undefined
  return typeof relation.event_id === 'string' ? (relation.event_id as EventId) : undefined
}

/** Clients' rules speak of the client's form of an event, in which every event has its id and its room. */
function propertyOf(event: RoomEvent, path: readonly string[]): Json | undefined {
  if (path.length === 1 && path[0] === 'event_id') return event.eventId
  if (path.length === 1 && path[0] === 'room_id') return event.roomId
  let value: Json | undefined = event.pdu as unknown as JsonObject
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    if (!Object.hasOwn(value, name)) return undefined
    value = (value as JsonObject)[name]
  }
  return value
}

/**
 * The names of a dot-separated path.
 *
 * Spec: Appendices, "Dot-separated property paths": "any literal dot or backslash found in a property name should be
 * escaped with a backslash", "Other escape sequences are left as-is".
 */
export function parsePath(key: string): readonly string[] {
  const names: string[] = []
  let name = ''
  for (let i = 0; i < key.length; i++) {
    const character = key[i]!
    const next = key[i + 1]
    if (character === '\\' && (next === '.' || next === '\\')) {
      name += next
      i++
    } else if (character === '.') {
      names.push(name)
      name = ''
    } else {
      name += character
    }
  }
  names.push(name)
  return names
}
