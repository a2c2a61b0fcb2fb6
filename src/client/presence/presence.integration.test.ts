import { expect, test } from 'vitest'
import { type Answer, createFakeClock, startTestServer, type TestClient } from '../../testing/index.ts'

const config = { presence: { enabled: true } }

/** Syncs until a user is shown in a state, and fails by the test's own time limit. */
async function shown(client: TestClient, since: string, userId: string, presence: string) {
  for (let token = since; ; ) {
    const sync = await client.sync({ timeout: 1000, since: token, set_presence: 'offline' })
    const events: Answer[] = sync.presence?.events ?? []
    const event = events.findLast(({ sender, content }) => sender === userId && content.presence === presence)
    if (event) return { content: event.content, since: sync.next_batch as string }
    token = sync.next_batch
  }
}

/** Alice is in a room with Bob, who looks on without being there, by a clock that stands still. */
async function meeting() {
  const clock = createFakeClock()
  const server = await startTestServer({ config, clock })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  await bob.join(await alice.createRoom({ preset: 'public_chat' }))
  const { next_batch: start } = await bob.sync({ set_presence: 'offline' })
  return { clock, alice, bob, start, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('presence is set, read, and told to those who share a room', async () => {
  await using server = await startTestServer({ config })
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  const { next_batch: apart } = await carol.sync()
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'online', status_msg: 'at work' })
  expect(await alice.get(`/presence/${alice.userId}/status`)).toMatchObject({
    presence: 'online',
    status_msg: 'at work',
    currently_active: true,
  })
  const told = await shown(bob, since, alice.userId, 'online')
  expect(told.content).toMatchObject({
    status_msg: 'at work',
    currently_active: true,
    last_active_ago: expect.any(Number),
  })
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'unavailable' })
  expect((await shown(bob, told.since, alice.userId, 'unavailable')).content.status_msg).toBe('at work')
  const filter = JSON.stringify({ presence: { not_types: ['*'] } })
  expect((await bob.sync({ filter })).presence).toBeUndefined()
  const ofCarol: Answer[] = (await carol.sync({ since: apart })).presence?.events ?? []
  expect(ofCarol.filter(({ sender }) => sender !== carol.userId)).toEqual([])
  expect((await carol.attempt('get', `/presence/${alice.userId}/status`)).status).toBe(403)
  expect((await carol.attempt('get', `/presence/@nobody:a.test/status`)).status).toBe(403)
  expect((await bob.attempt('put', `/presence/${alice.userId}/status`, { body: { presence: 'online' } })).status).toBe(
    403,
  )
})

test('who comes into a room sees who is there, and is seen; it is told once', async () => {
  await using server = await startTestServer({ config })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const { next_batch: before } = await alice.sync()
  const { next_batch: since } = await bob.sync()
  await bob.join(room)
  const seen = await shown(bob, since, alice.userId, 'online')
  await shown(alice, before, bob.userId, 'online')
  expect((await bob.sync({ since: seen.since })).presence).toBeUndefined()
})

test('who stops syncing is offline after a while, and may be there without being online', async () => {
  await using met = await meeting()
  const { clock, alice, bob, start } = met
  const { next_batch } = await alice.sync({ set_presence: 'online' })
  const online = await shown(bob, start, alice.userId, 'online')
  clock.advance(31_000)
  const offline = await shown(bob, online.since, alice.userId, 'offline')
  await alice.sync({ since: next_batch, set_presence: 'unavailable' })
  await shown(bob, offline.since, alice.userId, 'unavailable')
})

test('a sync that is refused makes nobody present', async () => {
  await using met = await meeting()
  const { clock, alice, bob, start } = met
  const { next_batch: since } = await alice.sync()
  const online = await shown(bob, start, alice.userId, 'online')
  for (const query of [{ since: 'nonsense' }, { since, filter: '{' }]) {
    expect((await alice.attempt('get', '/sync', { query })).status).toBe(400)
  }
  clock.advance(31_000)
  await shown(bob, online.since, alice.userId, 'offline')
})

test('the own coming is told at once, and does not end the wait for what comes next', async () => {
  await using server = await startTestServer({ config })
  const alice = await server.register('alice')
  await alice.createRoom()
  await using connection = await server.ctx.database.connect().then((client) => ({
    client,
    [Symbol.asyncDispose]: () => client.end(),
  }))
  const { client } = connection
  await client.query('begin')
  // Where the user is seen cannot be read yet.
  await client.query('lock table presence_statuses in access exclusive mode')
  const first = alice.sync()
  const waiting = "select from pg_locks where not granted and relation = 'presence_statuses'::regclass"
  while ((await client.query(waiting)).rowCount === 0) await new Promise((resolve) => setImmediate(resolve))
  await client.query('commit')
  const { presence, next_batch: since } = await first
  expect(presence.events).toMatchObject([{ sender: alice.userId, content: { presence: 'online' } }])
  expect((await alice.sync({ since, timeout: 300 })).presence).toBeUndefined()
})

test('processes tell one another', async () => {
  await using one = await startTestServer({ config, redis: true })
  await using other = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync()
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'unavailable', status_msg: 'out' })
  expect((await shown(bob, since, alice.userId, 'unavailable')).content.status_msg).toBe('out')
})

test('without presence nothing is told, and everybody is offline', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'online' })
  expect((await bob.sync()).presence).toBeUndefined()
  expect(await bob.get(`/presence/${alice.userId}/status`)).toEqual({ presence: 'offline' })
})
