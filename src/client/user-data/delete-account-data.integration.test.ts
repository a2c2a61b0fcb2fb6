import { expect, test } from 'vitest'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

const type = 'org.example.test'
const unstable = '/_matrix/client/unstable/org.matrix.msc3391'

function accountData(client: TestClient, room?: string): string {
  const inRoom = room === undefined ? '' : `/rooms/${encodeURIComponent(room)}`
  return `/user/${encodeURIComponent(client.userId)}${inRoom}/account_data/${type}`
}

async function slidingData(client: TestClient): Promise<string> {
  const lists = { all: { ranges: [[0, 9]], timeline_limit: 0, required_state: [] } }
  const body = { lists, extensions: { account_data: { enabled: true } } }
  const answer = await client.post('/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', body)
  return JSON.stringify(answer.extensions.account_data)
}

test.each(['delete', 'put'])(
  'account data goes by %s: devices hear of it, and it is there for nobody',
  async (method) => {
    await using server = await startTestServer()
    const alice = await server.register('alice')
    const room = await alice.createRoom()
    for (const place of [undefined, room]) {
      const path = accountData(alice, place)
      await alice.put(path, { some: 'thing' })
      const { next_batch: since } = await alice.sync()
      expect(await slidingData(alice)).toContain(type)
      const isDelete = method === 'delete'
      await alice.request(method, isDelete ? unstable + path : path, isDelete ? {} : { body: {} })
      const eventsOf = (sync: Answer): Answer[] =>
        (place === undefined ? sync : sync.rooms?.join?.[place])?.account_data?.events ?? []
      expect(eventsOf(await alice.sync({ since }))).toEqual([{ type, content: {} }])
      expect(eventsOf(await alice.sync()).map((event) => event.type)).not.toContain(type)
      expect(await slidingData(alice)).not.toContain(type)
      expect((await alice.attempt('get', path)).body.errcode).toBe('M_NOT_FOUND')
    }
    const initial = await alice.get(`/rooms/${encodeURIComponent(room)}/initialSync`)
    expect(initial.account_data).toEqual([])
  },
)

test('nobody deletes what is another’s or the server’s, and what is not there is no news', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const { next_batch: since } = await alice.sync()
  expect((await bob.attempt('delete', unstable + accountData(alice))).status).toBe(403)
  const rules = accountData(alice).replace(type, 'm.push_rules')
  expect((await alice.attempt('delete', unstable + rules)).status).toBe(405)
  expect((await alice.attempt('delete', unstable + accountData(alice, '!none:a.test'))).status).toBe(404)
  await alice.delete(unstable + accountData(alice))
  expect(await alice.sync({ since })).not.toHaveProperty('account_data')
})

test('switched off, what is empty is there', async () => {
  await using server = await startTestServer({ config: { experimental: { msc3391: false } } })
  const alice = await server.register('alice')
  await alice.put(accountData(alice), {})
  expect(await alice.get(accountData(alice))).toEqual({})
  expect((await alice.attempt('delete', unstable + accountData(alice))).body.errcode).toBe('M_UNRECOGNIZED')
  const versions = await alice.get('/_matrix/client/versions')
  expect(versions.unstable_features).not.toHaveProperty('org.matrix.msc3391')
})

test.each([true, false])('notification settings of a device go with it (MSC3890: %s)', async (msc3890) => {
  await using server = await startTestServer({ config: { experimental: { msc3890 } } })
  const [alice, other] = [await server.register('alice'), await server.logIn('alice')]
  const settings = `org.matrix.msc3890.local_notification_settings`
  const path = (client: TestClient) => accountData(alice).replace(type, `${settings}.${client.deviceId}`)
  for (const client of [alice, other]) await alice.put(path(client), { is_silenced: true })
  await other.post('/logout')
  expect((await alice.attempt('get', path(other))).status).toBe(msc3890 ? 404 : 200)
  expect(await alice.get(path(alice))).toEqual({ is_silenced: true })
})
