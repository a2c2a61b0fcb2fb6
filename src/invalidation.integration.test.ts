import { expect, test } from 'vitest'
import { startTestRedis, startTestServer } from './testing/index.ts'

test('what one process changes the other forgets', async () => {
  await using one = await startTestServer({ redis: true })
  await using two = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const elsewhere = two.adopt(alice)
  await elsewhere.get('/account/whoami')
  const log: string[] = []
  two.ctx.database.cost.log = log
  await elsewhere.get('/account/whoami')
  // The stream is looked at now and then, whoever asks for what.
  expect(log.filter((text) => !text.includes('from stream'))).toEqual([])
  await alice.post('/logout')
  await expect.poll(async () => (await elsewhere.attempt('get', '/account/whoami')).status).toBe(401)
})

test('while Redis is away nothing is believed from memory, and all is forgotten when it is back', async () => {
  await using redis = await startTestRedis()
  await using one = await startTestServer({ redis: redis.url })
  await using two = await startTestServer({ sharing: one })
  const [alice, bob] = [await one.register('alice'), await one.register('bob')]
  const [alice2, bob2] = [two.adopt(alice), two.adopt(bob)]
  await Promise.all([alice2.get('/account/whoami'), bob2.get('/account/whoami')])
  await redis.kill()
  await expect.poll(() => two.ctx.invalidations.connected).toBe(false)
  await alice.post('/logout')
  expect((await alice2.attempt('get', '/account/whoami')).status).toBe(401)
  await bob2.get('/account/whoami')
  await redis.restart()
  await expect.poll(() => two.ctx.invalidations.connected && one.ctx.invalidations.connected).toBe(true)
  await bob2.get('/account/whoami')
  await bob.post('/logout')
  await expect.poll(async () => (await bob2.attempt('get', '/account/whoami')).status).toBe(401)
})

test('rate limits are shared; without Redis what guards secrets is closed and the rest goes on', async () => {
  await using redis = await startTestRedis()
  const config = { rate_limits: { enabled: true, message: { per_second: 0.001, burst_count: 2 } } }
  await using one = await startTestServer({ redis: redis.url, config })
  await using two = await startTestServer({ sharing: one })
  await expect.poll(() => one.ctx.redis?.status === 'ready' && two.ctx.redis?.status === 'ready').toBe(true)
  await one.ctx.rateLimits.take('message', '@a:a.test')
  await two.ctx.rateLimits.take('message', '@a:a.test')
  const refused = await one.ctx.rateLimits.take('message', '@a:a.test').catch((error: unknown) => error)
  expect(refused).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED' })
  expect((refused as { extra: { retry_after_ms: number } }).extra.retry_after_ms).toBeGreaterThan(900_000)
  await redis.kill()
  await expect.poll(() => one.ctx.redis?.status === 'ready').toBe(false)
  await one.ctx.rateLimits.take('message', '@b:a.test')
  await expect(one.ctx.rateLimits.take('login_failed', '@b:a.test')).rejects.toMatchObject({
    errcode: 'M_LIMIT_EXCEEDED',
  })
})
