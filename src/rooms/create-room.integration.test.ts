import { expect, test } from 'vitest'
import { createLog } from '../log.ts'
import { createFakeClock } from '../testing/fakes.ts'
import { startTestServer } from '../testing/index.ts'

test('rooms that one user creates in one millisecond are different rooms, and none of them fails to be written first', async () => {
  const lines: string[] = []
  const log = createLog({ log: { level: 'error' } }, { write: (line: string) => void lines.push(line) })
  await using server = await startTestServer({ log, clock: createFakeClock() })
  const alice = await server.register('alice')
  const rooms = await Promise.all(Array.from({ length: 5 }, () => alice.createRoom()))
  expect(new Set(rooms).size).toBe(5)
  expect(lines).toEqual([])
})
