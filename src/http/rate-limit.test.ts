import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { checkConfig } from '../config.ts'
import { MatrixError } from '../matrix/errors.ts'
import { createFakeClock } from '../testing/fakes.ts'
import { createRateLimits } from './rate-limit.ts'

const log = pino({ level: 'silent' })

function limits(enabled = true) {
  const clock = createFakeClock()
  const config = checkConfig({ rate_limits: { enabled, message: { per_second: 0.5, burst_count: 3 } } })
  return { clock, rates: createRateLimits({ config, clock, log, redis: undefined }) }
}

async function waitOf(attempt: Promise<void>): Promise<number> {
  const error = await attempt.then(() => undefined).catch((reason: unknown) => reason)
  if (error === undefined) return 0
  expect(error).toBeInstanceOf(MatrixError)
  expect(error).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', status: 429 })
  return (error as MatrixError).extra.retry_after_ms as number
}

test('a burst, then the rate, and the wait is said', async () => {
  const { clock, rates } = limits()
  for (let count = 0; count < 3; count++) expect(await waitOf(rates.take('message', '@a:a.test'))).toBe(0)
  expect(await waitOf(rates.take('message', '@a:a.test'))).toBe(2000)
  clock.advance(1999)
  expect(await waitOf(rates.take('message', '@a:a.test'))).toBe(1)
  clock.advance(1)
  expect(await waitOf(rates.take('message', '@a:a.test'))).toBe(0)
  expect(await waitOf(rates.take('message', '@b:a.test'))).toBe(0)
})

test('the bucket holds no more than the burst, and checking takes nothing', async () => {
  const { clock, rates } = limits()
  clock.advance(3_600_000)
  for (let count = 0; count < 10; count++) expect(await waitOf(rates.check('message', 'x'))).toBe(0)
  for (let count = 0; count < 3; count++) expect(await waitOf(rates.take('message', 'x'))).toBe(0)
  expect(await waitOf(rates.check('message', 'x'))).toBe(2000)
})

test('switched off there are none', async () => {
  const { rates } = limits(false)
  for (let count = 0; count < 100; count++) await rates.take('message', 'x')
})

test('what something has cost is taken afterwards, also where that is more than there is', async () => {
  const { clock, rates } = limits()
  await rates.charge('message', 'x', 2)
  expect(await waitOf(rates.check('message', 'x'))).toBe(0)
  await rates.charge('message', 'x', 2.5)
  expect(await waitOf(rates.check('message', 'x'))).toBe(5000)
  clock.advance(5000)
  expect(await waitOf(rates.take('message', 'x'))).toBe(0)
})

test('every kind that can be configured limits something', () => {
  const root = join(import.meta.dirname, '../..')
  const files = ['src', 'federation'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(root, folder, file)),
  )
  const taken = files
    .filter((file) => file.endsWith('.ts') && !/\.test\.ts$|config-schema\.ts$|http\/rate-limit\.ts$/.test(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
  const kinds = Object.keys(checkConfig({}).rate_limits).filter((key) => key !== 'enabled')
  expect(kinds.filter((kind) => !taken.includes(`'${kind}'`))).toEqual([])
})
