import { checkAuth } from '../auth-rules/index.ts'
import type { RoomEvent } from '../event.ts'
import type { EventId } from '../ids.ts'
import type { RoomRules } from '../room-versions.ts'
import { compareMainline, comparePower, isPowerEvent, senderLevel } from './ordering.ts'
import { type LoadedEvent, POWER_LEVELS_KEY, type StateKey, type StateMap, stateKeyOf } from './state-map.ts'

type Lookup = (eventId: EventId) => LoadedEvent | undefined

/**
 * State resolution of room versions 2 to 11 (v2) and 12 (v2.1), in its plain form: it follows the specification's
 * sentences and walks all the state it is given. `fast.ts` does the same in the time a conflict deserves, and is tested
 * against this.
 *
 * Spec: Room Version 2 and Room Version 12, "State resolution" (v1.19). Where its words leave room, or two servers would
 * part by them, this does what the servers of the network do; such places say so.
 *
 * @throws {Error} when `lookup` does not know an event it is asked for
 */
export function resolveV2(rules: RoomRules, sets: readonly StateMap[], lookup: Lookup): StateMap {
  const load = (eventId: EventId): LoadedEvent => {
    const loaded = lookup(eventId)
    if (loaded === undefined) throw new Error(`State resolution needs the event ${eventId}`)
    return loaded
  }
  const { unconflicted, conflicted } = separate(sets)
  if (conflicted.size === 0) return unconflicted

  // "The *full conflicted set* is the union of the conflicted state set, the conflicted state subgraph, and the auth
  // difference." The subgraph since room version 12.
  const full = conflicted.union(authDifference(sets, load))
  const fullConflicted = rules.stateResolution === 'v2.1' ? full.union(subgraph(conflicted, load)) : full

  // 1. "Select the set *X* of all *power events* that appear in the *full conflicted set*. For each such power event
  // *P*, enlarge *X* by adding the events in the auth chain of *P* which also belong to the full conflicted set. Sort *X*
  // into a list using the *reverse topological power ordering*."
  const powerEvents = withChains(fullConflicted, load)
  const sortedPower = powerOrder(powerEvents, rules, load)

  // 2. "Apply the *iterative auth checks algorithm*, starting from the *unconflicted state map*", from room version 12 on
  // "starting from an *empty* state map, to the list of events from the previous step to get a partially resolved state."
  const start: StateMap = rules.stateResolution === 'v2.1' ? new Map() : unconflicted
  const partial = iterativeAuthChecks(start, sortedPower, rules, load)

  // 3. "Take all remaining events that weren't picked in step 1 and order them by the mainline ordering based on the
  // power level in the partially resolved state obtained in step 2."
  const remaining = mainlineOrder(fullConflicted.difference(powerEvents), partial.get(POWER_LEVELS_KEY), load)

  // 4. "Apply the *iterative auth checks algorithm* on the partial resolved state and the list of events from the
  // previous step."
  const result = new Map(iterativeAuthChecks(partial, remaining, rules, load))

  // 5. "Update the result by replacing any event with the event with the same key from the *unconflicted state map*, if
  // such an event exists, to get the final resolved state."
  for (const [key, eventId] of unconflicted) result.set(key, eventId)
  return result
}

/**
 * "If a given key *K* is present in every *Sᵢ* with the same value *V* in each state map, then the pair (*K*, *V*)
 * belongs to the *unconflicted state map*. Otherwise, *V* belongs to the *conflicted state set*."
 */
function separate(sets: readonly StateMap[]): { unconflicted: StateMap; conflicted: ReadonlySet<EventId> } {
  const unconflicted = new Map<StateKey, EventId>()
  const conflicted = new Set<EventId>()
  for (const set of sets) {
    for (const [key, eventId] of set) {
      if (sets.every((other) => other.get(key) === eventId)) unconflicted.set(key, eventId)
      else conflicted.add(eventId)
    }
  }
  return { unconflicted, conflicted }
}

/**
 * "If *Cᵢ* is the full auth chain of *Sᵢ*, then the auth difference is ∪ *Cᵢ* − ∩ *Cᵢ*." The servers of the network
 * count the events of *Sᵢ* themselves into *Cᵢ*; for conflicted ones that changes nothing, and unconflicted ones that
 * only some chains cite stay out of the difference.
 */
function authDifference(sets: readonly StateMap[], load: (eventId: EventId) => LoadedEvent): ReadonlySet<EventId> {
  const chains = sets.map((set) => reachable(set.values(), load))
  const union = chains.reduce((all, chain) => all.union(chain), new Set<EventId>())
  return new Set([...union].filter((eventId) => !chains.every((chain) => chain.has(eventId))))
}

/** The given events and all in their auth chains. */
function reachable(from: Iterable<EventId>, load: (eventId: EventId) => LoadedEvent): Set<EventId> {
  const reached = new Set<EventId>()
  const open = [...from]
  for (let eventId = open.pop(); eventId !== undefined; eventId = open.pop()) {
    if (reached.has(eventId)) continue
    reached.add(eventId)
    open.push(...load(eventId).event.authEvents)
  }
  return reached
}

/**
 * "Starting from an event in the *conflicted state set* and following `auth_events` edges may lead to another event in the
 * conflicted state set. The union of all such paths between any pair of events in the conflicted state set (including
 * endpoints) forms a subgraph of the original `auth_event` graph, called the *conflicted state subgraph*."
 */
function subgraph(conflicted: ReadonlySet<EventId>, load: (eventId: EventId) => LoadedEvent): ReadonlySet<EventId> {
  const below = [...reachable(conflicted, load)]
  return new Set(below.filter((eventId) => !reachable([eventId], load).isDisjointFrom(conflicted)))
}

/**
 * The power events of the set, and what they cite within it. As on the network, the auth chain is followed as long as it
 * stays in the set; from room version 12 on it cannot leave it and come back.
 */
function withChains(
  fullConflicted: ReadonlySet<EventId>,
  load: (eventId: EventId) => LoadedEvent,
): ReadonlySet<EventId> {
  const picked = new Set<EventId>()
  const open = [...fullConflicted].filter((eventId) => isPowerEvent(load(eventId).event))
  for (let eventId = open.pop(); eventId !== undefined; eventId = open.pop()) {
    if (picked.has(eventId)) continue
    picked.add(eventId)
    open.push(...load(eventId).event.authEvents.filter((cited) => fullConflicted.has(cited)))
  }
  return picked
}

/**
 * "The *reverse topological power ordering* of a set of events is the lexicographically smallest topological ordering
 * based on the DAG formed by auth events", found by "Kahn's algorithm for topological sorting, and at each step
 * selecting, among all the candidate vertices, the smallest vertex".
 */
function powerOrder(
  events: ReadonlySet<EventId>,
  rules: RoomRules,
  load: (eventId: EventId) => LoadedEvent,
): readonly RoomEvent[] {
  // "*x*'s sender has *greater* power level than *y*'s sender, when looking at their respective `auth_event`s"
  const waiting = new Map(
    [...events].map((eventId) => {
      const { event } = load(eventId)
      const powerLevels = authEvent(event, 'm.room.power_levels', '', rules, load)?.event
      const create = authEvent(event, 'm.room.create', '', rules, load)?.event
      return [eventId, { event, level: senderLevel(event, powerLevels, create, rules) }]
    }),
  )
  const sorted: RoomEvent[] = []
  while (waiting.size > 0) {
    const ready = [...waiting.values()].filter(({ event }) => !event.authEvents.some((cited) => waiting.has(cited)))
    const { event } = ready.sort(comparePower)[0]!
    sorted.push(event)
    waiting.delete(event.eventId)
  }
  return sorted
}

/** See "Mainline ordering": positions count from the resolved power levels back; citing none of them is infinity. */
function mainlineOrder(
  events: ReadonlySet<EventId>,
  resolvedPowerLevels: EventId | undefined,
  load: (eventId: EventId) => LoadedEvent,
): readonly RoomEvent[] {
  const powerLevelsCitedBy = (eventId: EventId): EventId | undefined =>
    load(eventId).event.authEvents.find((cited) => {
      const { pdu } = load(cited).event
      return pdu.type === 'm.room.power_levels' && pdu.state_key === ''
    })

  // "Increment *i* and repeat until *Pᵢ* has no `m.room.power_levels` event in its `auth_events`."
  const mainline: EventId[] = []
  for (let p = resolvedPowerLevels; p !== undefined; p = powerLevelsCitedBy(p)) mainline.push(p)

  // "Find the smallest index *j* ≥ 1 for which *eⱼ* belongs to the mainline of *P*. If such a *j* exists, then
  // *eⱼ* = *Pᵢ* for some unique index *i* ≥ 0. Otherwise set *i* = ∞"
  const positionOf = (eventId: EventId): number => {
    for (let e = powerLevelsCitedBy(eventId); e !== undefined; e = powerLevelsCitedBy(e)) {
      const position = mainline.indexOf(e)
      if (position >= 0) return position
    }
    return Number.POSITIVE_INFINITY
  }
  const ranked = [...events].map((eventId) => ({ event: load(eventId).event, position: positionOf(eventId) }))
  return ranked.sort(compareMainline).map(({ event }) => event)
}

/**
 * Spec: "constructs a new room state by iterating through the event list and applying the state event to the room state if
 * the state event is allowed by the authorisation rules. If the state event is not allowed by the authorisation rules, then
 * the event is ignored."
 */
function iterativeAuthChecks(
  start: StateMap,
  events: readonly RoomEvent[],
  rules: RoomRules,
  load: (eventId: EventId) => LoadedEvent,
): StateMap {
  const state = new Map(start)
  for (const event of events) {
    const { type, state_key: stateKey } = event.pdu
    if (stateKey === undefined) continue
    // "If a `(event_type, state_key)` key that is required for checking the authorisation rules is not present in the
    // state, then the appropriate state event from the event's `auth_events` is used if the auth event is not rejected."
    const authState = {
      get(neededType: string, neededKey: string): RoomEvent | undefined {
        const present = state.get(stateKeyOf(neededType, neededKey))
        if (present !== undefined) return load(present).event
        const cited = authEvent(event, neededType, neededKey, rules, load)
        return cited === undefined || cited.rejected ? undefined : cited.event
      },
    }
    if (checkAuth(event, authState, rules).allowed) state.set(stateKeyOf(type, stateKey), event.eventId)
  }
  return state
}

/** The auth event of this type and state key. The create event that room version 12 implies counts as one. */
function authEvent(
  event: RoomEvent,
  type: string,
  stateKey: string,
  rules: RoomRules,
  load: (eventId: EventId) => LoadedEvent,
): LoadedEvent | undefined {
  if (rules.createEventIsRoomId && type === 'm.room.create' && stateKey === '') {
    return event.pdu.type === type ? undefined : load(`$${event.roomId.slice(1)}`)
  }
  const cited = event.authEvents.find((eventId) => {
    const { pdu } = load(eventId).event
    return pdu.type === type && pdu.state_key === stateKey
  })
  return cited === undefined ? undefined : load(cited)
}
