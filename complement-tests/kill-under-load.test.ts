import { expect, test } from 'vitest'
import { killUnderLoad } from './kill-under-load.ts'

test('nothing acknowledged is lost when the server and PostgreSQL are killed', { timeout: 120_000 }, async () => {
  const report = await killUnderLoad(8)
  // On a slow machine most of a round goes into the start.
  expect(report.acknowledged).toBeGreaterThan(16)
  expect(report).toMatchObject({ rounds: 8, lost: 0, twice: 0, badTokens: 0, untold: 0 })
})
