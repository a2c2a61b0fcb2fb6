import { expect, test } from 'vitest'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

const base = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'
const type = 'org.example.test'
const levels = { power_level_content_override: { events: { [type]: 0 } } }

function delayed(client: TestClient, room: string, delay: number, content: object, stateKey?: string) {
  const kind = stateKey === undefined ? `send/${type}/t${delay}` : `state/${type}/${stateKey}`
  const path = `/rooms/${encodeURIComponent(room)}/${kind}?org.matrix.msc4140.delay=${delay}`
  return client.put(path, content) as Promise<{ delay_id: string }>
}

/** Syncs until the events with the bodies are in the room, and fails by the test's own time limit. */
async function seen(client: TestClient, room: string, since: string, count: number): Promise<Answer[]> {
  const found: Answer[] = []
  for (let token = since; found.length < count; ) {
    const sync = await client.sync({ timeout: 2000, since: token })
    const events: Answer[] = sync.rooms?.join?.[room]?.timeline?.events ?? []
    found.push(...events.filter((event) => event.type === type))
    token = sync.next_batch
  }
  return found
}

test('delayed events are listed, and sent in their order when their time has come', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom()
  const { next_batch: since } = await alice.sync()
  const first = await delayed(alice, room, 600, { count: 2 })
  await delayed(alice, room, 300, { count: 1 })
  const path = `/rooms/${encodeURIComponent(room)}/send/${type}/t600?org.matrix.msc4140.delay=600`
  expect((await alice.attempt('put', path)).body).toEqual(first)
  const listed = (await alice.get(base)).delayed_events
  expect(listed).toHaveLength(2)
  expect(listed[1]).toMatchObject({ delay_id: first.delay_id, room_id: room, type, delay: 600, content: { count: 2 } })
  expect((await bob.get(base)).delayed_events).toEqual([])
  expect((await server.request('get', base)).status).toBe(401)
  const events = await seen(alice, room, since, 2)
  expect(events.map(({ content }) => content.count)).toEqual([1, 2])
  expect((await alice.get(base)).delayed_events).toEqual([])
})

test('whoever knows the id cancels, restarts and sends', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const room = await alice.createRoom(levels)
  const { delay_id: id } = await delayed(alice, room, 60_000, { from: 'later' }, 'key')
  const before = (await alice.get(base)).delayed_events[0].running_since
  expect((await server.request('post', `${base}/${id}/restart`, { body: {} })).status).toBe(200)
  expect((await alice.get(base)).delayed_events[0].running_since).toBeGreaterThanOrEqual(before)
  expect((await server.request('post', `${base}/${id}`, { body: { action: 'send' } })).status).toBe(200)
  expect(await alice.getState(room, type, 'key')).toEqual({ from: 'later' })
  const other = await delayed(alice, room, 60_000, { from: 'never' }, 'key')
  expect((await server.request('post', `${base}/${other.delay_id}/cancel`, { body: {} })).status).toBe(200)
  expect((await alice.get(base)).delayed_events).toEqual([])
  for (const action of ['cancel', 'restart', 'send']) {
    expect((await server.request('post', `${base}/${id}/${action}`, { body: {} })).status).toBe(404)
  }
  expect((await server.request('post', `${base}/${id}/oops`, { body: {} })).status).toBe(404)
  expect((await server.request('post', `${base}/${id}`, { body: {} })).status).toBe(400)
})

test('state that somebody else sets takes the place of what was to come; one’s own does not', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat', ...levels })
  await bob.join(room)
  await delayed(alice, room, 60_000, { from: 'alice' }, 'one')
  await delayed(alice, room, 60_000, { from: 'alice' }, 'other')
  await alice.sendState(room, type, { from: 'alice, now' }, 'one')
  await bob.sendState(room, type, { from: 'bob' }, 'other')
  await expect.poll(async () => (await alice.get(base)).delayed_events.length).toBe(1)
  expect((await alice.get(base)).delayed_events[0].state_key).toBe('one')
})

test('limits: how long, how many, and by whom', async () => {
  await using server = await startTestServer({ config: { delayed_events: { max_delay_seconds: 60, max_per_user: 2 } } })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom()
  const path = (delay: number) =>
    `/rooms/${encodeURIComponent(room)}/send/${type}/x${delay}?org.matrix.msc4140.delay=${delay}`
  const long = await alice.attempt('put', path(60_001), { body: {} })
  expect(long.status).toBe(400)
  expect(long.body).toMatchObject({
    'org.matrix.msc4140.errcode': 'M_MAX_DELAY_EXCEEDED',
    'org.matrix.msc4140.max_delay': 60_000,
  })
  expect((await bob.attempt('put', path(50_000), { body: {} })).status).toBe(403)
  await delayed(alice, room, 40_000, {})
  await delayed(alice, room, 40_001, {})
  expect((await alice.attempt('put', path(40_002), { body: {} })).body).toMatchObject({
    'org.matrix.msc4140.errcode': 'M_MAX_DELAYED_EVENTS_EXCEEDED',
  })
})

test('one of two processes sends, each event once, and one that was taken by a process that is gone', async () => {
  await using one = await startTestServer({ redis: true })
  const alice = await one.register('alice')
  const room = await alice.createRoom()
  const { next_batch: since } = await alice.sync()
  {
    await using other = await startTestServer({ sharing: one })
    const there = other.adopt(alice)
    for (let index = 0; index < 10; index++) await delayed(index % 2 ? alice : there, room, 300 + index, { index })
    expect(await seen(alice, room, since, 10)).toHaveLength(10)
  }
  const { delay_id: id } = await delayed(alice, room, 400, { index: 10 })
  await one.ctx.database.db.updateTable('delayed_events').set({ is_sending: true }).where('delay_id', '=', id).execute()
  const all = await seen(alice, room, since, 11)
  expect(all.map(({ content }) => content.index).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
})
