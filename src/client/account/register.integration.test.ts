import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

test('a user registers with the dummy stage, and the token names them', async () => {
  await using server = await startTestServer({ serverNames: ['a.test', 'b.test'] })
  const alice = await server.register('Alice')
  expect(alice.userId).toBe('@alice:a.test')
  expect(await alice.get('/account/whoami')).toEqual({
    user_id: '@alice:a.test',
    device_id: alice.deviceId,
    is_guest: false,
  })
  const bob = await server.register('bob', { domain: 'b.test' })
  expect(bob.userId).toBe('@bob:b.test')
})
