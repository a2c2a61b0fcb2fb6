import type { RoomRules } from '../room-versions.ts'
import type { AuthGraph } from './auth-graph.ts'
import { CREATE_KEY, JOIN_RULES_KEY, POWER_LEVELS_KEY, type StateKey } from './state-map.ts'

/** For one state set, the events of the keys whose value is not the same in all sets; undefined or absent: no event. */
export type DivergentState = ReadonlyMap<StateKey, number | undefined>

/** The entries that all state sets share: never copied, and walked only when a conflict asks for it. */
export type AgreedState = {
  get(key: StateKey): number | undefined
  /** The events, each once, in any order; those that many others cite are best early. */
  ordinals(): Iterable<number>
  /** Whether the event is among them. With it the events are hardly ever walked. */
  has?(ordinal: number): boolean
}

/** What there is to resolve, as ordinals of the room's `AuthGraph`, in which the chains of all of them must be. */
export type Conflict = {
  readonly graph: AuthGraph
  /** One map for each state set, in any order. */
  readonly divergent: readonly DivergentState[]
  readonly agreed: AgreedState
  /** The create event, which from room version 12 on no event cites. Taken from the state when not given. */
  readonly create?: number | undefined
}

/** A conflict cut to the size it deserves, to be given to `resolvePlanned` once the events of `needed` are loaded. */
export type ResolutionPlan = Conflict & {
  readonly rules: RoomRules
  /** Every divergent key, with its distinct events. */
  readonly candidates: ReadonlyMap<StateKey, readonly number[]>
  /** Divergent keys that are no conflict, as the algorithm understands it. */
  readonly settled: ReadonlyMap<StateKey, number>
  /** The full conflicted set; in version 1 the conflicting events. */
  readonly conflicted: ReadonlySet<number>
  /** The events that resolution looks at, as far as can be told without looking at one. Those of the mainline are not
   * among them: the graph knows it. */
  readonly needed: readonly number[]
}

/**
 * Finds out which events a resolution is about.
 *
 * Spec: Room Versions 1, 2 and 12, "State resolution" (v1.19).
 */
export function planResolution(rules: RoomRules, conflict: Conflict): ResolutionPlan {
  const { graph, divergent, agreed } = conflict
  const candidates = candidatesOf(divergent)
  const settled = new Map<StateKey, number>()
  const state = new Set<number>()
  for (const [key, ordinals] of candidates) {
    const everywhere = rules.stateResolution === 'v1' || divergent.every((set) => set.get(key) !== undefined)
    if (ordinals.length === 1 && everywhere) settled.set(key, ordinals[0]!)
    else for (const ordinal of ordinals) state.add(ordinal)
  }
  const create = conflict.create ?? agreed.get(CREATE_KEY) ?? candidates.get(CREATE_KEY)?.[0]
  const conflicted = rules.stateResolution === 'v1' ? state : fullConflictedSet(rules, conflict, settled, state)
  const needed = new Set(conflicted)
  if (conflicted.size > 0) {
    if (rules.stateResolution !== 'v1') {
      for (const ordinal of conflicted) for (const parent of graph.parents(ordinal)) needed.add(parent)
    }
    // What version 12 starts without is not looked at, except for the create event.
    const shared =
      rules.stateResolution === 'v2.1'
        ? []
        : [CREATE_KEY, POWER_LEVELS_KEY, JOIN_RULES_KEY].map((key) => agreed.get(key))
    for (const ordinal of [create, ...shared]) if (ordinal !== undefined) needed.add(ordinal)
  }
  return { ...conflict, create, rules, candidates, settled, conflicted, needed: [...needed] }
}

function candidatesOf(divergent: readonly DivergentState[]): ReadonlyMap<StateKey, readonly number[]> {
  const candidates = new Map<StateKey, number[]>()
  for (const set of divergent) {
    for (const [key, ordinal] of set) {
      const known = candidates.get(key)
      if (known === undefined) candidates.set(key, ordinal === undefined ? [] : [ordinal])
      else if (ordinal !== undefined && !known.includes(ordinal)) known.push(ordinal)
    }
  }
  return candidates
}

/**
 * Spec: "The *full conflicted set* is the union of the conflicted state set, the conflicted state subgraph, and the auth
 * difference." The subgraph since room version 12.
 *
 * What the agreed state reaches belongs to every state set, so the auth difference of the divergent parts is taken first,
 * and only what is left is looked for in the agreed state.
 */
function fullConflictedSet(
  rules: RoomRules,
  { graph, divergent, agreed }: Conflict,
  settled: ReadonlyMap<StateKey, number>,
  state: ReadonlySet<number>,
): ReadonlySet<number> {
  const full = new Set(state)
  if (state.size === 0) return full
  if (rules.stateResolution === 'v2.1') for (const ordinal of graph.between([...state])) full.add(ordinal)
  const sets = divergent.map((set) => [...set.values()].filter((ordinal) => ordinal !== undefined))
  const difference = graph.difference(sets).filter((ordinal) => !full.has(ordinal))
  if (difference.length === 0) return full
  const shared = graph.reachedFrom(likelyFirst(settled.values(), agreed, difference), difference)
  for (const ordinal of difference) if (!shared.has(ordinal)) full.add(ordinal)
  return full
}

/** The agreed events, those first that probably lead to what is looked for. */
function* likelyFirst(
  settled: Iterable<number>,
  agreed: AgreedState,
  wanted: readonly number[],
): Generator<number, void, undefined> {
  for (const ordinal of wanted) if (agreed.has?.(ordinal)) yield ordinal
  for (const key of [POWER_LEVELS_KEY, JOIN_RULES_KEY, CREATE_KEY]) {
    const ordinal = agreed.get(key)
    if (ordinal !== undefined) yield ordinal
  }
  yield* settled
  yield* agreed.ordinals()
}
