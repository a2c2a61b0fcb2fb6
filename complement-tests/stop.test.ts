import { expect, test } from 'vitest'
import { startProgram } from './program.ts'
import { createDatabase, startRedis } from './services.ts'

test('a process ends when it is told to, also while Redis is away', { timeout: 60_000 }, async () => {
  await using database = await createDatabase()
  await using redis = await startRedis()
  await using program = await startProgram({ ...database.environment, CHAPPE_REDIS_URL: redis.url })
  await redis.kill()
  expect((await fetch(`${program.url}/_matrix/client/versions`)).status).toBe(200)
  await program.stop()
  expect(program.process.exitCode).toBe(0)
})
