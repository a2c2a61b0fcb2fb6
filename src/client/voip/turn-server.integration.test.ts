import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { createFakeClock, startTestServer } from '../../testing/index.ts'

test('A16: credentials that a TURN server can check, and none for guests', async () => {
  const uris = ['turn:turn.a.test:3478?transport=udp', 'turns:turn.a.test:5349']
  const clock = createFakeClock(1_700_000_000_000)
  const turn = { uris, shared_secret: 'shared with coturn', lifetime_seconds: 600 }
  await using server = await startTestServer({
    clock,
    config: { turn, registration: { mode: 'open', allow_guests: true } },
  })
  const alice = await server.register('alice')
  const username = `1700000600:${alice.userId}`
  const password = createHmac('sha1', 'shared with coturn').update(username).digest('base64')
  expect(await alice.get('/voip/turnServer')).toEqual({ username, password, uris, ttl: 600 })
  const { body: guest } = await server.request('post', '/_matrix/client/v3/register?kind=guest', { body: {} })
  const refused = await server.request('get', '/_matrix/client/v3/voip/turnServer', { token: guest.access_token })
  expect([refused.status, refused.body.errcode]).toEqual([403, 'M_GUEST_ACCESS_FORBIDDEN'])
  await using without = await startTestServer({ sharing: server, config: { turn: { uris: [] } } })
  expect((await without.adopt(alice).attempt('get', '/voip/turnServer')).body.errcode).toBe('M_NOT_FOUND')
})
