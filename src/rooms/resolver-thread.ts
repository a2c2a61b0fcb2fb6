import { parentPort } from 'node:worker_threads'
import { roomRules } from '../matrix/room-versions.ts'
import { AuthGraph, type AuthGraphCopy } from '../matrix/state-res/auth-graph.ts'
import { type Divergence, type Given, Resolving, type Step } from '../matrix/state-res/resolving.ts'
import type { LoadedEvent } from '../matrix/state-res/state-map.ts'

/** Runs in a thread of its own: resolves states that differ in so much that it takes a while. */

/** As JSON, which is made and read faster than objects are copied. */
export type GivenToThread = Omit<Given, 'events'> & { readonly events: string }
export type BeginTask = {
  readonly task: number
  readonly roomVersion: string
  readonly graph: AuthGraphCopy
  readonly divergence: Divergence
  readonly given: GivenToThread
}
export type StepTask = { readonly task: number; readonly given: GivenToThread }
export type StepAnswer = { readonly task: number; readonly step: Step }

const running = new Map<number, Resolving>()

parentPort!.on('message', (message: BeginTask | StepTask) => {
  const { task, given } = message
  if ('graph' in message) {
    const { roomVersion, graph, divergence } = message
    running.set(task, new Resolving(roomRules(roomVersion)!, AuthGraph.from(graph), divergence))
  }
  const events = JSON.parse(given.events) as [number, LoadedEvent][]
  const step = running.get(task)!.step({ ...given, events })
  if ('resolved' in step) running.delete(task)
  parentPort!.postMessage({ task, step } satisfies StepAnswer)
})
