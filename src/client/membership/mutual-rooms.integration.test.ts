import { expect, test } from 'vitest'
import { startTestServer, type TestClient } from '../../testing/index.ts'

function mutual(client: TestClient, userId: string, from?: string) {
  const query = { user_id: userId, ...(from !== undefined && { from }) }
  return client.attempt('get', '/_matrix/client/v1/mutual_rooms', { query })
}

test('rooms that both are joined to', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const both = await alice.createRoom({ invite: [bob.userId] })
  await bob.join(both)
  await alice.createRoom({ invite: [bob.userId] })
  await bob.createRoom()
  expect((await mutual(alice, bob.userId)).body).toEqual({ joined: [both], count: 1 })
  expect((await mutual(bob, alice.userId)).body).toEqual({ joined: [both], count: 1 })
  expect((await mutual(alice, '@nobody:a.test')).body).toEqual({ joined: [], count: 0 })
  for (const userId of [alice.userId, 'alice', '@é:a.test', '']) {
    expect((await mutual(alice, userId)).body.errcode, userId).toBe('M_INVALID_PARAM')
  }
  expect((await mutual(alice, bob.userId, 'x')).status).toBe(400)
})

test('the unstable path is there as long as it is announced', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const path = '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'
  const feature = 'uk.half-shot.msc2666.query_mutual_rooms'
  expect(await alice.get(path, { user_id: bob.userId })).toEqual({ joined: [], count: 0 })
  expect((await alice.get('/_matrix/client/versions')).unstable_features[feature]).toBe(true)
  await using off = await startTestServer({ sharing: server, config: { experimental: { msc2666: false } } })
  const there = off.adopt(alice)
  expect((await there.attempt('get', path, { query: { user_id: bob.userId } })).status).toBe(404)
  expect((await there.get('/_matrix/client/versions')).unstable_features[feature]).toBeUndefined()
})
