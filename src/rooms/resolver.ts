import type { RoomRules } from '../matrix/room-versions.ts'
import type { AuthGraph } from '../matrix/state-res/auth-graph.ts'
import { type Divergence, type Given, Resolving, type Step } from '../matrix/state-res/resolving.ts'
import type { ThreadPool } from '../thread-pool.ts'
import type { BeginTask, GivenToThread, StepAnswer, StepTask } from './resolver-thread.ts'

export type ResolverThreads = ThreadPool<BeginTask | StepTask, StepAnswer>

/** Up to which a resolution takes less than some five milliseconds. */
const small = {
  /** Events that it looks at. */
  events: 200,
  /** Entries in which the states differ, of all of them together. */
  entries: 1_000,
  /** State events of the room. */
  graph: 100_000,
}

/** Asks one step after the other of a resolution: here as long as it is small, and then in a thread. */
export class SteppedResolution {
  readonly #threads: ResolverThreads
  readonly #rules: RoomRules
  readonly #graph: AuthGraph
  readonly #divergence: Divergence
  readonly #here: Resolving
  /** All that was given, as long as it is done here. */
  #given: Given[] = []
  #elsewhere: ((given: Given) => Promise<Step>) | undefined
  readonly #limits: typeof small

  constructor(
    threads: ResolverThreads,
    rules: RoomRules,
    graph: AuthGraph,
    divergence: Divergence,
    limits: typeof small = small,
  ) {
    this.#limits = limits
    this.#threads = threads
    this.#rules = rules
    this.#graph = graph
    this.#divergence = divergence
    this.#here = new Resolving(rules, graph, divergence)
  }

  async step(given: Given): Promise<Step> {
    if (this.#elsewhere) return this.#elsewhere(given)
    this.#given.push(given)
    const entries = this.#divergence.divergent.reduce((sum, state) => sum + state.size, 0)
    const events = this.#given.reduce((sum, { events: some }) => sum + (some?.length ?? 0), 0)
    const limits = this.#limits
    const isSmall = events <= limits.events && entries <= limits.entries && this.#graph.size <= limits.graph
    return isSmall ? this.#here.step(given) : this.#goElsewhere()
  }

  #goElsewhere(): Promise<Step> {
    const thread = this.#threads.pick()
    const task = thread.newTask()
    const ask = async (message: BeginTask | StepTask): Promise<Step> => (await thread.ask(message)).step
    this.#elsewhere = (given) => ask({ task, given: asText(given) })
    const all = asText({
      events: this.#given.flatMap(({ events }) => events ?? []),
      agreed: this.#given.flatMap(({ agreed }) => agreed ?? []),
      ...wholeOf(this.#given),
    })
    this.#given = []
    const { version: roomVersion } = this.#rules
    return ask({ task, roomVersion, graph: this.#graph.copy(), divergence: this.#divergence, given: all })
  }
}

function wholeOf(given: readonly Given[]): Pick<Given, 'whole'> {
  const whole = given.find((one) => one.whole)?.whole
  return whole ? { whole } : {}
}

function asText(given: Given): GivenToThread {
  return { ...given, events: JSON.stringify(given.events ?? []) }
}
