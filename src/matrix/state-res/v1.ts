import { checkAuth } from '../auth-rules/index.ts'
import type { RoomEvent } from '../event.ts'
import type { EventId } from '../ids.ts'
import type { RoomRules } from '../room-versions.ts'
import { compareDepth } from './ordering.ts'
import {
  type LoadedEvent,
  POWER_LEVELS_KEY,
  type StateKey,
  type StateMap,
  stateKeyOf,
  typeAndStateKeyOf,
} from './state-map.ts'

/**
 * State resolution of room version 1, in its plain form.
 *
 * Spec: Room Version 1, "State resolution" (v1.19).
 *
 * @throws {Error} when `lookup` does not know an event it is asked for
 */
export function resolveV1(
  rules: RoomRules,
  sets: readonly StateMap[],
  lookup: (eventId: EventId) => LoadedEvent | undefined,
): StateMap {
  // "A *conflict* occurs between states where those states have different `event_ids` for the same
  // `(event_type, state_key)`."
  const candidates = new Map<StateKey, Set<EventId>>()
  for (const set of sets) {
    for (const [key, eventId] of set) {
      const events = candidates.get(key)
      if (events === undefined) candidates.set(key, new Set([eventId]))
      else events.add(eventId)
    }
  }
  const load = (eventId: EventId): RoomEvent => {
    const loaded = lookup(eventId)
    if (loaded === undefined) throw new Error(`State resolution needs the event ${eventId}`)
    return loaded.event
  }

  // "Start by setting *R* to the union of the states to be resolved, excluding any *conflicting* events."
  const resolved = new Map<StateKey, EventId>()
  const conflicts = new Map<StateKey, RoomEvent[]>()
  for (const [key, events] of candidates) {
    if (events.size === 1) for (const eventId of events) resolved.set(key, eventId)
    // "Sort the list by ascending `depth` then descending `sha1(event_id)`."
    else conflicts.set(key, [...events].map(load).sort(compareDepth))
  }
  const state = {
    get(type: string, stateKey: string): RoomEvent | undefined {
      const eventId = resolved.get(stateKeyOf(type, stateKey))
      return eventId === undefined ? undefined : load(eventId)
    },
  }
  for (const [key, event] of resolveConflicts(rules, conflicts, state)) resolved.set(key, event.eventId)
  return resolved
}

type State = { get(type: string, stateKey: string): RoomEvent | undefined }

/** Chooses among conflicting events, given for each key by ascending depth; `state` is the rest of the room. */
export function resolveConflicts(
  rules: RoomRules,
  conflicts: ReadonlyMap<StateKey, readonly RoomEvent[]>,
  state: State,
): ReadonlyMap<StateKey, RoomEvent> {
  const passes: [StateKey, readonly RoomEvent[]][][] = [[], [], [], []]
  for (const conflict of conflicts) passes[passOf(conflict[0])]!.push(conflict)
  const chosen = new Map<StateKey, RoomEvent>()
  const withChosen: State = {
    get: (type, stateKey) => chosen.get(stateKeyOf(type, stateKey)) ?? state.get(type, stateKey),
  }

  // "First we resolve conflicts between `m.room.power_levels` events." "Repeat the above process for conflicts between
  // `m.room.join_rules` events." "Repeat the above process for conflicts between `m.room.member` events."
  for (const pass of passes.slice(0, 3)) {
    // Within a pass no key sees what was chosen for another, or the result would depend on the order of the keys.
    const choices = pass.map(([key, events]) => [key, lastOfAllowedRun(rules, key, events, withChosen)] as const)
    for (const [key, event] of choices) chosen.set(key, event)
  }

  // "No other events affect the authorisation rules, so for all other conflicts, just pick the event with the highest
  // depth and lowest `sha1(event_id)` that passes authentication in *R* and add it to *R*." If none passes, the
  // network takes the one with the least depth.
  const others = passes[3]!.map(([key, events]) => {
    return [key, events.findLast((event) => checkAuth(event, withChosen, rules).allowed) ?? events[0]!] as const
  })
  for (const [key, event] of others) chosen.set(key, event)
  return chosen
}

function passOf(key: StateKey): number {
  if (key === POWER_LEVELS_KEY) return 0
  const [type] = typeAndStateKeyOf(key)
  return type === 'm.room.join_rules' ? 1 : type === 'm.room.member' ? 2 : 3
}

/**
 * "Add the first event in the list to *R*. For each subsequent event in the list, check that the event would be allowed
 * by the authorisation rules for a room in state *R*. If the event would be allowed, then update *R* with the event and
 * continue with the next event in the list. If it would not be allowed, stop".
 */
function lastOfAllowedRun(rules: RoomRules, key: StateKey, events: readonly RoomEvent[], state: State): RoomEvent {
  let last = events[0]!
  const withLast: State = {
    get: (type, stateKey) => (stateKeyOf(type, stateKey) === key ? last : state.get(type, stateKey)),
  }
  for (const event of events.slice(1)) {
    if (!checkAuth(event, withLast, rules).allowed) break
    last = event
  }
  return last
}
