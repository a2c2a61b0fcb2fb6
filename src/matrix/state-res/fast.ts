import { authTypesFor, checkAuth } from '../auth-rules/index.ts'
import type { RoomEvent } from '../event.ts'
import type { AuthGraph } from './auth-graph.ts'
import { compareDepth, compareMainline, comparePower, isPowerEvent, senderLevel } from './ordering.ts'
import type { ResolutionPlan } from './plan.ts'
import { type LoadedEvent, POWER_LEVELS_KEY, type StateKey, stateKeyOf } from './state-map.ts'
import { resolveConflicts } from './v1.ts'

/**
 * `resolved` has the event of every divergent key, or undefined where no event holds the key. It may have further keys:
 * those that no state set had, and that the auth difference brought in. Everything else stays as agreed.
 *
 * `missing` are events that turned out to be needed; with them loaded, call again.
 */
export type Resolution =
  | { readonly resolved: ReadonlyMap<StateKey, number | undefined> }
  | { readonly missing: readonly number[] }

/** Answers undefined for an event that is not loaded yet. */
export type LoadedEvents = (ordinal: number) => LoadedEvent | undefined

/**
 * Resolves what `planResolution` prepared, with the same result as `resolveState` on the whole states.
 *
 * Spec: Room Versions 1, 2 and 12, "State resolution" (v1.19).
 */
export function resolvePlanned(plan: ResolutionPlan, events: LoadedEvents): Resolution {
  const missing = new Set<number>()
  const load = (ordinal: number): LoadedEvent | undefined => {
    const loaded = events(ordinal)
    if (loaded === undefined) missing.add(ordinal)
    return loaded
  }
  for (const ordinal of plan.needed) load(ordinal)
  for (const ordinal of agreedAuthEvents(plan, events)) load(ordinal)
  if (missing.size > 0) return { missing: [...missing] }
  const resolved = plan.rules.stateResolution === 'v1' ? resolveV1(plan, load) : resolveV2(plan, load)
  return missing.size > 0 ? { missing: [...missing] } : { resolved }
}

/** The agreed events that the conflicted ones are checked against. */
function agreedAuthEvents({ rules, conflicted, agreed, settled }: ResolutionPlan, events: LoadedEvents): Set<number> {
  const ordinals = new Set<number>()
  if (rules.stateResolution === 'v2.1') return ordinals
  for (const conflictedOrdinal of conflicted) {
    const event = events(conflictedOrdinal)?.event
    if (event === undefined) continue
    const { type, sender, state_key: stateKey, content } = event.pdu
    for (const [neededType, neededKey] of authTypesFor({ type, sender, stateKey, content }, rules)) {
      const key = stateKeyOf(neededType, neededKey)
      const ordinal = settled.get(key) ?? agreed.get(key)
      if (ordinal !== undefined) ordinals.add(ordinal)
    }
  }
  return ordinals
}

function resolveV1(plan: ResolutionPlan, load: LoadedEvents): ReadonlyMap<StateKey, number | undefined> {
  const { rules, candidates, settled, agreed } = plan
  const ordinals = new Map<RoomEvent, number>()
  const conflicts = new Map<StateKey, readonly RoomEvent[]>()
  for (const [key, contenders] of candidates) {
    if (contenders.length < 2) continue
    const contending = contenders.map((ordinal) => {
      const { event } = load(ordinal)!
      ordinals.set(event, ordinal)
      return event
    })
    conflicts.set(key, contending.sort(compareDepth))
  }
  const state = {
    get(type: string, stateKey: string): RoomEvent | undefined {
      const key = stateKeyOf(type, stateKey)
      const ordinal = settled.get(key) ?? agreed.get(key)
      return ordinal === undefined ? undefined : load(ordinal)?.event
    },
  }
  const resolved = new Map<StateKey, number | undefined>()
  for (const key of candidates.keys()) resolved.set(key, settled.get(key))
  for (const [key, event] of resolveConflicts(rules, conflicts, state)) resolved.set(key, ordinals.get(event))
  return resolved
}

function resolveV2(plan: ResolutionPlan, load: LoadedEvents): ReadonlyMap<StateKey, number | undefined> {
  const { graph, candidates, settled, conflicted, agreed } = plan
  const changed = new Map<StateKey, number>()

  // "Select the set *X* of all *power events* that appear in the *full conflicted set*. … enlarge *X* by adding the events
  // in the auth chain of *P* which also belong to the full conflicted set."
  const power = withChains(graph, conflicted, load)
  applyInOrder(plan, powerOrder(plan, power, load), changed, load)

  // "Take all remaining events … and order them by the mainline ordering".
  const remaining = [...conflicted].filter((ordinal) => !power.has(ordinal))
  const inMainline = mainlineOrder(graph, remaining, currentValue(plan, changed, POWER_LEVELS_KEY), load)
  applyInOrder(plan, inMainline, changed, load)

  // "Update the result by replacing any event with the event with the same key from the *unconflicted state map*".
  const resolved = new Map<StateKey, number | undefined>()
  for (const key of candidates.keys()) resolved.set(key, settled.get(key) ?? changed.get(key))
  for (const [key, ordinal] of changed) {
    if (!resolved.has(key) && agreed.get(key) === undefined) resolved.set(key, ordinal)
  }
  return resolved
}

/** The state as it stands during resolution. Version 2.1 starts from nothing, version 2 from the unconflicted state. */
function currentValue(plan: ResolutionPlan, changed: ReadonlyMap<StateKey, number>, key: StateKey): number | undefined {
  const ordinal = changed.get(key)
  if (ordinal !== undefined || plan.rules.stateResolution === 'v2.1') return ordinal
  return plan.settled.get(key) ?? plan.agreed.get(key)
}

function withChains(graph: AuthGraph, conflicted: ReadonlySet<number>, load: LoadedEvents): ReadonlySet<number> {
  const picked = new Set<number>()
  const open = [...conflicted].filter((ordinal) => isPowerEvent(load(ordinal)!.event))
  for (let ordinal = open.pop(); ordinal !== undefined; ordinal = open.pop()) {
    if (picked.has(ordinal)) continue
    picked.add(ordinal)
    for (const parent of graph.parents(ordinal)) if (conflicted.has(parent)) open.push(parent)
  }
  return picked
}

/** Kahn's algorithm. The events are ranked once, so that its heap compares integers. */
function powerOrder(plan: ResolutionPlan, power: ReadonlySet<number>, load: LoadedEvents): readonly number[] {
  const { graph, rules } = plan
  const ranked = [...power].map((ordinal) => {
    const { event } = load(ordinal)!
    const powerLevels = authEvent(plan, ordinal, 'm.room.power_levels', '', load)?.event
    const create = authEvent(plan, ordinal, 'm.room.create', '', load)?.event
    return { ordinal, event, level: senderLevel(event, powerLevels, create, rules) }
  })
  ranked.sort(comparePower)
  const rankOf = new Map(ranked.map(({ ordinal }, rank) => [ordinal, rank]))
  const waitsFor = new Uint32Array(ranked.length)
  const citedBy: number[][] = ranked.map(() => [])
  const ready: number[] = []
  ranked.forEach(({ ordinal }, rank) => {
    for (const parent of new Set(graph.parents(ordinal))) {
      const parentRank = rankOf.get(parent)
      if (parentRank === undefined) continue
      citedBy[parentRank]!.push(rank)
      waitsFor[rank]!++
    }
    if (waitsFor[rank] === 0) pushHeap(ready, rank)
  })
  const sorted: number[] = []
  for (let rank = popHeap(ready); rank !== undefined; rank = popHeap(ready)) {
    sorted.push(ranked[rank]!.ordinal)
    for (const later of citedBy[rank]!) if (--waitsFor[later]! === 0) pushHeap(ready, later)
  }
  return sorted
}

/** See "Mainline ordering" in the specification. The graph knows which power levels an event cites. */
function mainlineOrder(
  graph: AuthGraph,
  ordinals: readonly number[],
  resolvedPowerLevels: number | undefined,
  load: LoadedEvents,
): readonly number[] {
  const positions = new Map<number, number>()
  for (let p = resolvedPowerLevels ?? -1; p >= 0; p = graph.powerLevelsOf(p)) positions.set(p, positions.size)
  const ranked = ordinals.map((ordinal) => {
    const passed: number[] = []
    let e = graph.powerLevelsOf(ordinal)
    for (; e >= 0 && !positions.has(e); e = graph.powerLevelsOf(e)) passed.push(e)
    const position = e < 0 ? Number.POSITIVE_INFINITY : positions.get(e)!
    for (const off of passed) positions.set(off, position)
    return { ordinal, event: load(ordinal)!.event, position }
  })
  return ranked.sort(compareMainline).map(({ ordinal }) => ordinal)
}

/** The iterative auth checks algorithm. */
function applyInOrder(
  plan: ResolutionPlan,
  ordinals: readonly number[],
  changed: Map<StateKey, number>,
  load: LoadedEvents,
): void {
  for (const ordinal of ordinals) {
    const { event } = load(ordinal)!
    const { type, state_key: stateKey } = event.pdu
    if (stateKey === undefined) continue
    // "If a `(event_type, state_key)` key that is required for checking the authorisation rules is not present in the
    // state, then the appropriate state event from the event's `auth_events` is used if the auth event is not rejected."
    const authState = {
      get(neededType: string, neededKey: string): RoomEvent | undefined {
        const present = currentValue(plan, changed, stateKeyOf(neededType, neededKey))
        if (present !== undefined) return load(present)?.event
        const cited = authEvent(plan, ordinal, neededType, neededKey, load)
        return cited === undefined || cited.rejected ? undefined : cited.event
      },
    }
    if (checkAuth(event, authState, plan.rules).allowed) changed.set(stateKeyOf(type, stateKey), ordinal)
  }
}

/** The auth event of this type and state key. The create event that room version 12 implies counts as one. */
function authEvent(
  { graph, rules, create }: ResolutionPlan,
  ordinal: number,
  type: string,
  stateKey: string,
  load: LoadedEvents,
): LoadedEvent | undefined {
  if (rules.createEventIsRoomId && type === 'm.room.create' && stateKey === '') {
    return create === undefined || create === ordinal ? undefined : load(create)
  }
  for (const parent of graph.parents(ordinal)) {
    const loaded = load(parent)
    if (loaded?.event.pdu.type === type && loaded.event.pdu.state_key === stateKey) return loaded
  }
  return undefined
}

function pushHeap(heap: number[], value: number): void {
  let at = heap.push(value) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (heap[parent]! <= value) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = value
}

function popHeap(heap: number[]): number | undefined {
  const least = heap[0]
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return least
  let at = 0
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++
    if (heap[child]! >= last) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return least
}
