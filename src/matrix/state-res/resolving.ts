import type { RoomRules } from '../room-versions.ts'
import type { AuthGraph } from './auth-graph.ts'
import { resolvePlanned } from './fast.ts'
import { type DivergentState, planResolution } from './plan.ts'
import type { LoadedEvent, StateKey } from './state-map.ts'

/** What there is to resolve, as ordinals of the graph of the room. */
export type Divergence = {
  /** For each state the entries in which they may differ. */
  readonly divergent: readonly DivergentState[]
  readonly create: number | undefined
}

/** What a resolution has to know before it can go on: events, and entries of the state that all states share. */
export type Wanted = {
  readonly events: readonly number[]
  readonly agreed: readonly StateKey[]
  /** All entries that they share. */
  readonly whole: boolean
}

/** The answer to that. */
export type Given = {
  readonly events?: readonly (readonly [ordinal: number, loaded: LoadedEvent])[]
  readonly agreed?: readonly (readonly [key: StateKey, ordinal: number | undefined])[]
  readonly whole?: readonly number[]
}

export type Step = { readonly wanted: Wanted } | { readonly resolved: ReadonlyMap<StateKey, number | undefined> }

/**
 * One resolution, step by step: each says what is wanted, until nothing is.
 *
 * Spec: Room Versions 1, 2 and 12, "State resolution" (v1.19).
 */
export class Resolving {
  readonly #rules: RoomRules
  readonly #graph: AuthGraph
  readonly #divergence: Divergence
  readonly #divergentKeys: ReadonlySet<StateKey>
  readonly #events = new Map<number, LoadedEvent>()
  /** Entries that all states share, as far as anybody asked for them. */
  readonly #agreed = new Map<StateKey, number | undefined>()
  readonly #asked = new Set<StateKey>()
  #whole: readonly number[] | undefined
  #asksForWhole = false

  constructor(rules: RoomRules, graph: AuthGraph, divergence: Divergence) {
    this.#rules = rules
    this.#graph = graph
    this.#divergence = divergence
    this.#divergentKeys = new Set(divergence.divergent.flatMap((state) => [...state.keys()]))
  }

  step({ events = [], agreed = [], whole }: Given): Step {
    for (const [ordinal, loaded] of events) this.#events.set(ordinal, loaded)
    for (const [key, ordinal] of agreed) this.#agreed.set(key, ordinal)
    this.#whole ??= whole
    this.#asked.clear()
    this.#asksForWhole = false
    const plan = planResolution(this.#rules, {
      graph: this.#graph,
      ...this.#divergence,
      agreed: {
        get: (key) => this.#agreedAt(key),
        ordinals: () => {
          if (!this.#whole) this.#asksForWhole = true
          return this.#whole ?? []
        },
      },
    })
    if (this.#isAsking) return { wanted: this.#wanted([]) }
    const resolution = resolvePlanned(plan, (ordinal) => this.#events.get(ordinal))
    if ('missing' in resolution) return { wanted: this.#wanted(resolution.missing) }
    return this.#isAsking ? { wanted: this.#wanted([]) } : resolution
  }

  get #isAsking(): boolean {
    return this.#asked.size > 0 || this.#asksForWhole
  }

  #wanted(events: readonly number[]): Wanted {
    return { events, agreed: [...this.#asked], whole: this.#asksForWhole }
  }

  #agreedAt(key: StateKey): number | undefined {
    // A key in which the states may differ is not agreed on.
    if (this.#divergentKeys.has(key)) return undefined
    if (!this.#agreed.has(key)) this.#asked.add(key)
    return this.#agreed.get(key)
  }
}
