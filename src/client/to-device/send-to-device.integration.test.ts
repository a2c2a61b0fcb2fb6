import { expect, test } from 'vitest'
import { passwordOf, startTestServer, type TestClient } from '../../testing/index.ts'

const send = (client: TestClient, txnId: string, messages: object, type = 'm.test') =>
  client.attempt('put', `/sendToDevice/${encodeURIComponent(type)}/${txnId}`, { body: { messages } })

async function received(client: TestClient, since?: string) {
  const answer = await client.sync({ timeout: 0, ...(since !== undefined && { since }) })
  return { events: answer.to_device?.events ?? [], next: answer.next_batch as string }
}

test('a message reaches its device once, and all devices by *', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const phone = await server.logIn('bob')
  await send(alice, '1', { [bob.userId]: { [bob.deviceId]: { n: 1, z: 'é', a: [1] } } })
  await send(alice, '2', {
    [bob.userId]: { '*': { n: 2 }, [phone.deviceId]: { n: 3 } },
    [alice.userId]: { '*': { n: 4 } },
  })
  const event = (content: object) => ({ content, sender: alice.userId, type: 'm.test' })
  const first = await received(bob)
  expect(first.events).toEqual([event({ n: 1, z: 'é', a: [1] }), event({ n: 2 })])
  expect((await received(phone)).events).toEqual([event({ n: 3 })])
  expect((await received(alice)).events).toEqual([event({ n: 4 })])
  expect((await received(bob, first.next)).events).toEqual([])
})

test('a waiting sync is woken by a message', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const { next } = await received(bob)
  const waiting = bob.sync({ since: next, timeout: 20_000 })
  await send(alice, '1', { [bob.userId]: { [bob.deviceId]: { n: 1 } } })
  expect((await waiting).to_device.events).toHaveLength(1)
})

test('a repeated transaction sends nothing, in this process, in another, at the same time', async () => {
  await using server = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: server })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const elsewhere = second.adopt(alice)
  const messages = { [bob.userId]: { [bob.deviceId]: { n: 1 } } }
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => send(index % 2 === 0 ? alice : elsewhere, 'same', messages)),
  )
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200))
  expect((await send(elsewhere, 'same', messages)).status).toBe(200)
  expect((await send(alice, 'same', messages, 'm.other')).status).toBe(200)
  expect((await received(bob)).events.map((one: { type: string }) => one.type)).toEqual(['m.test', 'm.other'])
})

test('C13: content of more than 65,536 bytes is too large', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const around = JSON.stringify({ a: '' }).length
  const content = (bytes: number) => ({ [alice.userId]: { [alice.deviceId]: { a: 'x'.repeat(bytes - around) } } })
  expect((await send(alice, '1', content(65_536))).status).toBe(200)
  const refused = await send(alice, '2', content(65_537))
  expect(refused).toMatchObject({ status: 413, body: { errcode: 'M_TOO_LARGE' } })
  expect((await received(alice)).events).toHaveLength(1)
})

test('unknown devices and users are passed over; malformed bodies are refused', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const others = { '@nobody:a.test': { '*': {} }, '@far:elsewhere.test': { X: {} }, [alice.userId]: { NONE: {} } }
  expect((await send(alice, '1', others)).status).toBe(200)
  for (const bad of [null, [], { alice: {} }, { [alice.userId]: [] }, { [alice.userId]: { X: 'text' } }]) {
    expect((await send(alice, '2', bad as object)).status).toBe(400)
  }
  expect((await received(alice)).events).toEqual([])
})

test('names that objects inherit reach their device as they are', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const odd = await server.logIn('alice', { deviceId: '__proto__' })
  const body = `{"messages":{"${alice.userId}":{"__proto__":{"__proto__":{"a":1},"constructor":2,"toString":"x"}}}}`
  expect((await alice.attempt('put', '/sendToDevice/m.test/1', { body })).status).toBe(200)
  const { events } = await received(odd)
  expect(Object.entries(events[0].content)).toEqual([
    ['__proto__', { a: 1 }],
    ['constructor', 2],
    ['toString', 'x'],
  ])
})

test('deactivated users get none', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, password: passwordOf('bob') }
  await bob.post('/account/deactivate', { auth })
  expect((await send(alice, '1', { [bob.userId]: { '*': {}, [bob.deviceId]: {} } })).status).toBe(200)
  expect(await server.ctx.database.db.selectFrom('to_device').selectAll().execute()).toEqual([])
})

test('devices come and go between one message and the next', async () => {
  await using server = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: server })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const first = await server.logIn('bob')
  const to = (device: TestClient) => ({ [bob.userId]: { [device.deviceId]: {} } })
  await send(alice, '1', to(first))
  await second.adopt(first).post('/logout')
  await send(alice, '2', to(first))
  const next = await server.logIn('bob')
  await send(alice, '3', to(next))
  await send(alice, '4', { [bob.userId]: { '*': {} } })
  const stored = await server.ctx.database.db.selectFrom('to_device').select('device_id').orderBy('position').execute()
  const received = stored.map(({ device_id: deviceId }) => deviceId)
  expect(received.slice(0, 1)).toEqual([next.deviceId])
  expect(received.slice(1).toSorted()).toEqual([bob.deviceId, next.deviceId].toSorted())
})

test('a message to many devices is one read and one transaction, and no read where they are known', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  for (let index = 0; index < 5; index++) await server.logIn('alice')
  await send(alice, 'warm', { [alice.userId]: { '*': {} } })
  const { cost } = server.ctx.database
  const [statements, log] = [cost.statements, (cost.log = [] as string[])]
  await send(alice, 'cold', { [alice.userId]: { '*': {} } })
  expect(log).toHaveLength(4)
  expect(cost.statements - statements).toBe(4)
  expect(await server.ctx.database.db.selectFrom('to_device').selectAll().execute()).toHaveLength(12)
  log.length = 0
  await send(alice, 'known', { [alice.userId]: { [alice.deviceId]: {} } })
  expect(log).toHaveLength(3)
})
