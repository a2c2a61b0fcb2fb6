import { expect, test } from 'vitest'
import { everySwitch, fuzz } from '../testing/fuzz.ts'
import { startTestServer } from '../testing/index.ts'
import { endpoints } from './index.ts'

const seed = Number(process.env.CHAPPE_FUZZ_SEED ?? 1)
const cases = 4000

/** Each operation a dozen times; `bench/fuzz.ts` asks for as long as one likes. */
test(`no request made after the specification and spoiled is an internal error, waits or is answered in another shape (seed ${seed})`, {
  timeout: 120_000,
}, async () => {
  const experimental = Object.fromEntries(everySwitch.map((name) => [name, true]))
  await using server = await startTestServer({ config: { experimental } })
  const routes = endpoints.flatMap(({ method, paths }) => paths.map((path) => ({ method, path })))
  const { failures, statuses } = await fuzz({ url: server.url, routes, seed, cases })
  expect(failures).toEqual([])
  expect([...statuses.values()].reduce((sum, count) => sum + count)).toBe(cases)
  // Refusing everything would pass too.
  expect(statuses.get(200)).toBeGreaterThan(cases / 5)
})
