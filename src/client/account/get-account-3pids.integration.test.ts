import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

test('what this server does not keep is empty, not an error', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  expect(await alice.get('/account/3pid')).toEqual({ threepids: [] })
  expect(await alice.get('/thirdparty/protocols')).toEqual({})
  for (const path of [
    'protocol/irc',
    'location/irc',
    'user/irc',
    'location?alias=%23x:a.test',
    'user?userid=@x:a.test',
  ]) {
    expect((await alice.attempt('get', `/thirdparty/${path}`)).body.errcode, path).toBe('M_NOT_FOUND')
  }
  expect(await alice.post('/search', { search_categories: { room_events: { search_term: 'x' } } })).toEqual({
    search_categories: { room_events: { count: 0, highlights: [], results: [] } },
  })
  expect((await alice.attempt('post', '/search', { body: {} })).status).toBe(400)
  const status = (user: string) => `/presence/${encodeURIComponent(user)}/status`
  expect(await alice.put(status(alice.userId), { presence: 'online', status_msg: 'Here' })).toEqual({})
  expect((await bob.attempt('put', status(alice.userId), { body: { presence: 'online' } })).status).toBe(403)
  expect((await alice.attempt('put', status(alice.userId), { body: { presence: 'away' } })).status).toBe(400)
  expect(await bob.get(status(alice.userId))).toEqual({ presence: 'offline' })
})
