import { expect, test } from 'vitest'
import { signedDeviceKeys } from '../../keys/fixtures.ts'
import { passwordOf, startTestServer, type TestClient } from '../../testing/index.ts'

/** Changes since a token, and the next token. */
async function changesSince(client: TestClient, since: string) {
  const answer = await client.sync({ since, timeout: 0 })
  return { lists: answer.device_lists ?? {}, next: answer.next_batch as string }
}

async function tokenOf(client: TestClient): Promise<string> {
  return (await client.sync({ timeout: 0 })).next_batch
}

async function threeUsers() {
  const server = await startTestServer()
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  return { server, alice, bob, carol, room }
}

test('names, new keys and removals of devices are told to the user and to who shares a room, to nobody else', async () => {
  const { server, alice, bob, carol } = await threeUsers()
  await using _ = server
  const clients = [alice, bob, carol]
  let tokens = await Promise.all(clients.map(tokenOf))
  const other = await server.logIn('alice')
  const expectTold = async (isTold: boolean) => {
    const told = await Promise.all(clients.map((client, index) => changesSince(client, tokens[index]!)))
    tokens = told.map(({ next }) => next)
    const changed = isTold ? [alice.userId] : undefined
    expect(told.map(({ lists }) => lists.changed)).toEqual([changed, changed, undefined])
  }
  await expectTold(false)
  await alice.put(`/devices/${other.deviceId}`, { display_name: 'No keys yet' })
  await expectTold(true)
  await other.post('/keys/upload', { device_keys: signedDeviceKeys(other) })
  await expectTold(true)
  await other.post('/keys/upload', { device_keys: signedDeviceKeys(other) })
  await expectTold(false)
  await alice.put(`/devices/${other.deviceId}`, { display_name: 'Phone' })
  await expectTold(true)
  await other.post('/logout')
  await expectTold(true)
  const found = await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } })
  expect(found.device_keys).toEqual({ [alice.userId]: {} })
})

test('a waiting sync is woken by a change of a device list', async () => {
  const { server, alice, bob } = await threeUsers()
  await using _ = server
  const since = await tokenOf(bob)
  const waiting = bob.sync({ since, timeout: 20_000 })
  await alice.post('/keys/upload', { device_keys: signedDeviceKeys(alice) })
  expect((await waiting).device_lists.changed).toEqual([alice.userId])
})

test('changes are told by another process too, whose sessions never heard of the user', async () => {
  await using first = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: first })
  const alice = await first.register('alice')
  const bob = second.adopt(await first.register('bob'))
  const carol = second.adopt(await first.register('carol'))
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const [since, sinceCarol] = [await tokenOf(bob), await tokenOf(carol)]
  const devicesOfAlice = async () => {
    const { device_keys: keys } = await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } })
    return Object.keys(keys[alice.userId])
  }
  expect(await devicesOfAlice()).toEqual([])
  const waiting = bob.sync({ since, timeout: 20_000 })
  await alice.post('/keys/upload', { device_keys: signedDeviceKeys(alice) })
  expect((await waiting).device_lists.changed).toEqual([alice.userId])
  expect(await devicesOfAlice()).toEqual([alice.deviceId])
  await bob.send(room, 'm.room.message', { body: 'so that positions move', msgtype: 'm.text' })
  expect((await changesSince(carol, sinceCarol)).lists).toEqual({})
})

test('what a process left behind is announced by the next one', async () => {
  await using first = await startTestServer()
  const alice = await first.register('alice')
  const since = await tokenOf(alice)
  await first.ctx.database.db
    .insertInto('unannounced_device_lists')
    .expression((select) => select.selectFrom('accounts').select('user_nid'))
    .columns(['user_nid'])
    .execute()
  await using second = await startTestServer({ sharing: first })
  await second.ctx.deviceKeys.recovered
  expect((await changesSince(second.adopt(alice), since)).lists.changed).toEqual([alice.userId])
  const left = await first.ctx.database.db.selectFrom('unannounced_device_lists').selectAll().execute()
  expect(left).toEqual([])
})

test('changes between two tokens, with those who came and went', async () => {
  const { server, alice, bob, carol, room } = await threeUsers()
  await using _ = server
  const from = await tokenOf(alice)
  const none = await alice.get('/keys/changes', { from, to: from })
  expect(none).toEqual({ changed: [], left: [] })
  await bob.post('/keys/upload', { device_keys: signedDeviceKeys(bob) })
  await carol.post('/keys/upload', { device_keys: signedDeviceKeys(carol) })
  const middle = await tokenOf(alice)
  expect(await alice.get('/keys/changes', { from, to: middle })).toEqual({ changed: [bob.userId], left: [] })
  expect(await alice.get('/keys/changes', { from: middle, to: middle })).toEqual({ changed: [], left: [] })
  await carol.join(room)
  await bob.leave(room)
  const to = await tokenOf(alice)
  expect(await alice.get('/keys/changes', { from: middle, to })).toEqual({
    changed: [carol.userId],
    left: [bob.userId],
  })
  // Bob has left everybody in the room.
  const { left } = await bob.get('/keys/changes', { from: middle, to })
  expect(left.sort()).toEqual([alice.userId, carol.userId])
  expect((await alice.attempt('get', '/keys/changes', { query: { from: 'x', to } })).status).toBe(400)
  expect((await alice.attempt('get', '/keys/changes', { query: { from } })).status).toBe(400)
})

test('who was only invited does not learn who the members are', async () => {
  const { server, alice, carol, room } = await threeUsers()
  await using _ = server
  const from = await tokenOf(carol)
  await alice.invite(room, carol.userId)
  await carol.leave(room)
  const to = await tokenOf(carol)
  expect(await carol.get('/keys/changes', { from, to })).toEqual({ changed: [], left: [] })
})

test('a removed device takes its keys and messages along, and its id begins anew', async () => {
  const { server, alice, bob } = await threeUsers()
  await using _ = server
  const old = await server.logIn('bob', { deviceId: 'PHONE' })
  await old.post('/keys/upload', {
    device_keys: signedDeviceKeys(old),
    fallback_keys: { 'curve25519:f': 'fallback' },
    one_time_keys: { 'curve25519:a': 'key' },
  })
  await alice.put('/sendToDevice/m.test/1', { messages: { [bob.userId]: { PHONE: { a: 1 } } } })
  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, password: passwordOf('bob') }
  await bob.delete('/devices/PHONE', { auth })
  const claim = { one_time_keys: { [bob.userId]: { PHONE: 'curve25519' } } }
  expect((await alice.post('/keys/claim', claim)).one_time_keys).toEqual({})
  const again = await server.logIn('bob', { deviceId: 'PHONE' })
  const answer = await again.sync({ timeout: 0 })
  expect(answer.to_device).toBeUndefined()
  expect(answer.device_one_time_keys_count).toEqual({ signed_curve25519: 0 })
  expect(answer.device_unused_fallback_key_types).toEqual([])
  const keys = await server.ctx.database.db.selectFrom('key_signatures').selectAll().execute()
  expect(keys).toEqual([])
})
