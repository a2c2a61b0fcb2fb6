import { Gauge } from 'prom-client'
import type { Context } from '../../src/context.ts'
import type { Destination } from './destination.ts'

/** Servers that are told by name: those that fail the most and are behind the longest. */
const mostNamed = 50

type State = { server: string; failures: number; waiting: number; lag: number }

/** Has what waits for other servers told at every scrape. */
export function watchDestinations(
  { metrics, clock, stream }: Pick<Context, 'metrics' | 'clock' | 'stream'>,
  destinations: ReadonlyMap<string, Destination>,
): void {
  const registers = [metrics.registry]
  const counts = new Gauge({
    name: 'chappe_federation_destinations',
    help: 'Servers that are told what happens here: with nothing to be told, with something, and not to be reached',
    labelNames: ['state'],
    registers,
  })
  const help = `, of the ${mostNamed} servers that are worst off`
  const labelNames = ['destination'] as const
  const failures = new Gauge({
    name: 'chappe_federation_destination_failures',
    help: `Attempts in a row that failed${help}`,
    labelNames,
    registers,
  })
  const waiting = new Gauge({
    name: 'chappe_federation_destination_waiting_seconds',
    help: `How long there is something to tell and nothing was taken${help}`,
    labelNames,
    registers,
  })
  const lag = new Gauge({
    name: 'chappe_federation_destination_lag_positions',
    help: `Positions of the stream since what was taken last${help}`,
    labelNames,
    registers,
  })
  metrics.onScrape(() => {
    const states = statesOf(destinations, clock.monotonic(), stream.position)
    const isFailing = ({ failures }: State) => failures > 0
    const isBehind = (state: State) => state.waiting > 0 && !isFailing(state)
    counts.set({ state: 'failing' }, states.filter(isFailing).length)
    counts.set({ state: 'behind' }, states.filter(isBehind).length)
    counts.set({ state: 'told' }, states.filter((state) => !isFailing(state) && !isBehind(state)).length)
    for (const gauge of [failures, waiting, lag]) gauge.reset()
    const worst = states
      .filter((state) => isFailing(state) || isBehind(state))
      .sort((one, other) => other.failures - one.failures || other.waiting - one.waiting)
      .slice(0, mostNamed)
    for (const { server: destination, ...state } of worst) {
      failures.set({ destination }, state.failures)
      waiting.set({ destination }, state.waiting)
      lag.set({ destination }, state.lag)
    }
  })
}

/** One for each server: the worst of what the domains of ours have with it. */
function statesOf(destinations: ReadonlyMap<string, Destination>, now: number, position: number): State[] {
  const states = new Map<string, State>()
  for (const { server, failures, behindSince, acked, missed } of destinations.values()) {
    const before = states.get(server) ?? { server, failures: 0, waiting: 0, lag: 0 }
    const isBehind = behindSince !== undefined
    states.set(server, {
      server,
      failures: Math.max(before.failures, failures),
      waiting: Math.max(before.waiting, isBehind ? (now - behindSince) / 1000 : 0),
      lag: Math.max(before.lag, isBehind ? position - (missed?.after ?? acked) : 0),
    })
  }
  return [...states.values()]
}
