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
