import { expect, test } from 'vitest'
import { crossSigning, oneTimeKeys, signedDeviceKeys } from '../src/keys/fixtures.ts'
import type { Answer, TestClient } from '../src/testing/test-client.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { pair, synced, via } from './two-servers.fixtures.ts'

async function upload(client: TestClient): Promise<void> {
  await client.post('/keys/upload', { device_keys: signedDeviceKeys(client), one_time_keys: oneTimeKeys(client, 2) })
}

/** The contents of messages to a device, as they come, until there are as many as told. */
async function received(client: TestClient, count: number, since?: string): Promise<Answer[]> {
  const events: Answer[] = []
  for (let token = since; events.length < count; ) {
    const sync = await client.sync({ timeout: 1000, ...(token !== undefined && { since: token }) })
    events.push(...(sync.to_device?.events ?? []))
    token = sync.next_batch
  }
  return events
}

let transactions = 0
function sendToDevice(from: TestClient, to: TestClient, number: number, deviceId = to.deviceId) {
  const messages = { [to.userId]: { [deviceId]: { number } } }
  return from.put(`/sendToDevice/test.note/t${++transactions}`, { messages })
}

async function waitForChange(client: TestClient, since: string, userId: string): Promise<string> {
  for (let token = since; ; ) {
    const sync = await client.sync({ timeout: 1000, since: token })
    token = sync.next_batch
    if (sync.device_lists?.changed?.includes(userId)) return token
  }
}

test('messages to devices of another server arrive once, in order', async () => {
  await using servers = await pair()
  const { alice, bob } = servers
  for (let number = 0; number < 120; number++) await sendToDevice(alice, bob, number, number % 2 ? bob.deviceId : '*')
  const events = await received(bob, 120)
  expect(events.map(({ content }) => content.number)).toEqual(Array.from({ length: 120 }, (_, index) => index))
  expect(events[0]).toEqual({ type: 'test.note', sender: alice.userId, content: { number: 0 } })
  // A repeated transaction sends nothing.
  const path = '/sendToDevice/test.note/again'
  const body = { messages: { [bob.userId]: { [bob.deviceId]: { number: 'once' } } } }
  await Promise.all([alice.put(path, body), alice.put(path, body)])
  await alice.put(path, body)
  await sendToDevice(alice, bob, -1)
  const { next_batch: since } = await bob.sync()
  expect(since).toBeDefined()
})

test('messages to devices wait for a server that is away, also while their own is', async () => {
  const one = await startFederatedServer({}, { kept: true })
  const port = Number(one.ctx.domains.default.split(':')[1])
  const other = await startFederatedServer({}, { kept: true })
  const otherPort = Number(other.ctx.domains.default.split(':')[1])
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  await other.close()
  for (let number = 0; number < 3; number++) await sendToDevice(alice, bob, number)
  await one.close()
  await using _oneAgain = await startFederatedServer({}, { like: one, port })
  await using otherAgain = await startFederatedServer({}, { like: other, port: otherPort })
  const events = await received(otherAgain.adopt(bob), 3)
  expect(events.map(({ content }) => content.number)).toEqual([0, 1, 2])
})

test('of two processes one sends', async () => {
  await using one = await startFederatedServer({}, { redis: true })
  await using second = await startFederatedServer({}, { like: one })
  await using other = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const alices = [alice, second.adopt(alice)]
  await Promise.all(Array.from({ length: 20 }, (_, number) => sendToDevice(alices[number % 2]!, bob, number)))
  const numbers = (await received(bob, 20)).map(({ content }) => content.number)
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index))
  await sendToDevice(alice, bob, 99)
  expect(await other.ctx.database.db.selectFrom('to_device').select('position').execute()).not.toHaveLength(0)
})

test('keys of another server’s users: asked for once, again after a change, claimed once each', async () => {
  await using servers = await pair()
  const { one, alice, bob, other } = servers
  await Promise.all([upload(alice), upload(bob)])
  const room = await alice.createRoom({ preset: 'public_chat' })
  const start = (await bob.sync()).next_batch
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  let since = await waitForChange(bob, start, alice.userId)
  // One change may be told in several steps.
  const after = async (isKnown: () => Promise<boolean>): Promise<void> => {
    do since = await waitForChange(bob, since, alice.userId)
    while (!(await isKnown()))
  }
  const query = async (): Promise<Answer> => await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } })
  expect(Object.keys((await query()).device_keys[alice.userId])).toEqual([alice.deviceId])
  const lists = () => other.ctx.database.db.selectFrom('remote_device_lists').select('user_nid').execute()
  expect(await lists()).toHaveLength(1)
  expect(Object.keys((await query()).device_keys[alice.userId])).toEqual([alice.deviceId])

  const second = await one.logIn('alice')
  await upload(second)
  const devices = async () => Object.keys((await query()).device_keys[alice.userId])
  await after(async () => (await devices()).length === 2)
  expect((await devices()).sort()).toEqual([alice.deviceId, second.deviceId].sort())

  const { body } = crossSigning(alice.userId, 'word')
  await alice.post('/keys/device_signing/upload', body)
  await after(async () => (await query()).master_keys?.[alice.userId] !== undefined)
  expect((await query()).master_keys[alice.userId]).toMatchObject({ usage: ['master'] })

  const claim = (): Promise<Answer> =>
    bob.post('/keys/claim', { one_time_keys: { [alice.userId]: { [alice.deviceId]: 'signed_curve25519' } } })
  const claimed = await Promise.all([claim(), claim()])
  const names = claimed.flatMap((answer) => Object.keys(answer.one_time_keys[alice.userId][alice.deviceId]))
  expect(new Set(names).size).toBe(2)

  await second.post('/logout')
  await waitForChange(bob, since, alice.userId)
  expect(Object.keys((await query()).device_keys[alice.userId])).toEqual([alice.deviceId])
})

test('who types, and who stops, is seen on the other server', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await synced(alice, (sync) =>
    JSON.stringify(sync.rooms?.join?.[room] ?? '').includes(bob.userId) ? true : undefined,
  )
  const path = (client: TestClient) => `/rooms/${encodeURIComponent(room)}/typing/${encodeURIComponent(client.userId)}`
  const typers = (client: TestClient, expected: string[]) =>
    synced(client, (sync) => {
      const events: Answer[] = sync.rooms?.join?.[room]?.ephemeral?.events ?? []
      const typing = events.find(({ type }) => type === 'm.typing')
      return typing && JSON.stringify(typing.content.user_ids) === JSON.stringify(expected) ? true : undefined
    })
  await alice.put(path(alice), { typing: true, timeout: 20_000 })
  await typers(bob, [alice.userId])
  await alice.put(path(alice), { typing: false })
  await bob.put(path(bob), { typing: true, timeout: 20_000 })
  await typers(alice, [bob.userId])
})

test('each domain of a deployment speaks for its own users', async () => {
  await using both = await startFederatedServer({}, { domains: 2 })
  await using other = await startFederatedServer()
  const [first, second] = both.ctx.domains.all
  const alice = await both.register('alice', { domain: first! })
  const anna = await both.register('anna', { domain: second! })
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'private_chat' })
  await alice.invite(room, anna.userId)
  await anna.join(room)
  await anna.invite(room, bob.userId)
  await bob.join(room)
  const body = async (text: string, from: TestClient): Promise<void> => {
    await from.send(room, 'm.room.message', { msgtype: 'm.text', body: text })
    for (const reader of [alice, anna, bob].filter((one) => one !== from)) {
      await synced(reader, (sync) =>
        (sync.rooms?.join?.[room]?.timeline?.events ?? []).find((event: Answer) => event.content.body === text),
      )
    }
  }
  await body('from the first', alice)
  await body('from the second', anna)
  await body('from outside', bob)
  const told = await other.ctx.database.db.selectFrom('incoming_transactions').select(['origin']).execute()
  expect(new Set(told.map(({ origin }) => origin))).toEqual(new Set([first, second]))
  const queues = await destinationsOf(both)
  expect(queues.filter(({ server_name: server }) => both.ctx.domains.isLocal(server))).toEqual([])
  // A server that invites one domain’s user cannot have the other sign.
  const outside = await bob.createRoom({ preset: 'private_chat' })
  await bob.invite(outside, anna.userId)
  await anna.join(outside)
  await bob.invite(outside, alice.userId)
  await alice.join(outside)
  await synced(bob, (sync) =>
    JSON.stringify(sync.rooms?.join?.[outside] ?? '').includes(alice.userId) ? true : undefined,
  )
})

function destinationsOf(server: TestServer) {
  return server.ctx.database.db.selectFrom('destinations').select(['origin', 'server_name']).execute()
}
