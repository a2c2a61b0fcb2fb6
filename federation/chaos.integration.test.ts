import { expect, test } from 'vitest'
import { Chaos } from './chaos.fixtures.ts'
import { outcomeOf, settle } from './chaos-outcome.fixtures.ts'

/** A few in the suite; `npm run chaos` goes on for ten minutes. */
const seconds = Number(process.env.CHAPPE_CHAOS_SECONDS ?? 5)
const seed = Number(process.env.CHAPPE_CHAOS_SEED ?? 1)
/** Milliseconds for what was missed: a machine that does other things too takes its time. */
const longestSettling = 60_000 + 5_000 * seconds

async function rage(): Promise<void> {
  await using chaos = new Chaos(seed)
  await chaos.start(5, 2)
  await chaos.rage(seconds * 1000)
  const settledIn = await settle(chaos, longestSettling)
  const { compared, softFailed, ...wrong } = await outcomeOf(chaos)
  const { events, toDevice } = chaos.acknowledged
  const acknowledged = { events: events.size, toDevice: toDevice.size }
  const figures = JSON.stringify({ seed, settledIn, ...chaos.counts, ...acknowledged, compared, softFailed })
  if (process.env.CHAPPE_CHAOS_SECONDS !== undefined) console.log(figures)
  expect(wrong, figures).toEqual({ different: [], lost: [], twice: [], astray: [] })
  expect(events.size).toBeGreaterThan(10)
}

const timeout = seconds * 1000 + longestSettling + 200_000
test(`five servers that are cut off and killed for ${seconds} s have the same rooms afterwards`, { timeout }, rage)
