import { expect, test } from 'vitest'
import { startTestServer, type TestClient, type TestServer } from '../../testing/index.ts'

function publish(client: TestClient, options: object = {}) {
  return client.createRoom({ visibility: 'public', preset: 'public_chat', ...options })
}

const names = (body: { chunk: { name?: string }[] }) => body.chunk.map(({ name }) => name)

async function threeRooms(server: TestServer): Promise<TestClient> {
  const alice = await server.register('alice')
  const small = await publish(alice, { name: 'Small', topic: 'Crêpes and galettes' })
  const large = await publish(alice, { name: 'Large', room_alias_name: 'grand' })
  await publish(alice, { name: 'Space', creation_content: { type: 'm.space' } })
  await alice.createRoom({ name: 'Private' })
  for (const name of ['bob', 'carol']) await (await server.register(name)).join(large)
  await (await server.register('dave')).join(small)
  return alice
}

test('the largest first, in pages both ways', async () => {
  await using server = await startTestServer()
  const alice = await threeRooms(server)
  const all = await alice.get('/publicRooms')
  expect(names(all)).toEqual(['Large', 'Small', 'Space'])
  expect(all.total_room_count_estimate).toBe(3)
  expect(all.chunk[0]).toMatchObject({
    num_joined_members: 3,
    canonical_alias: '#grand:a.test',
    world_readable: false,
    guest_can_join: false,
    join_rule: 'public',
  })
  expect(all.chunk[2].room_type).toBe('m.space')
  expect(all.next_batch).toBeUndefined()
  const first = await alice.get('/publicRooms', { limit: 1 })
  expect([names(first), first.prev_batch]).toEqual([['Large'], undefined])
  const second = await alice.get('/publicRooms', { limit: 1, since: first.next_batch })
  expect(names(second)).toEqual(['Small'])
  const third = await alice.post('/publicRooms', { limit: 1, since: second.next_batch })
  expect([names(third), third.next_batch]).toEqual([['Space'], undefined])
  const back = await alice.post('/publicRooms', { limit: 1, since: third.prev_batch })
  expect(names(back)).toEqual(['Small'])
  expect(names(await alice.get('/publicRooms', { limit: 5, since: back.prev_batch }))).toEqual(['Large'])
  expect(names(await alice.get('/publicRooms', { limit: 1, since: back.next_batch }))).toEqual(['Space'])
  for (const since of ['x', 'n1', 'n99999999999_1', "n1_1' or 1=1"]) {
    expect((await alice.attempt('get', '/publicRooms', { query: { since } })).status).toBe(400)
  }
})

test('searched by name, topic, alias and type', async () => {
  await using server = await startTestServer()
  const alice = await threeRooms(server)
  const search = async (filter: object, limit = 10) => names(await alice.post('/publicRooms', { filter, limit }))
  expect(await search({ generic_search_term: 'CREPES' })).toEqual(['Small'])
  expect(await search({ generic_search_term: 'galettes crêpes' })).toEqual(['Small'])
  expect(await search({ generic_search_term: '#grand' })).toEqual(['Large'])
  expect(await search({ generic_search_term: '%' })).toEqual([])
  expect(await search({ room_types: ['m.space'] })).toEqual(['Space'])
  expect(await search({ room_types: [null] })).toEqual(['Large', 'Small'])
  expect(await search({ room_types: [null, 'm.space'], generic_search_term: 'a' })).toEqual(['Large', 'Small', 'Space'])
  const page = await alice.post('/publicRooms', { filter: { generic_search_term: 'a' }, limit: 2 })
  expect(names(page)).toEqual(['Large', 'Small'])
  const rest = await alice.post('/publicRooms', {
    filter: { generic_search_term: 'a' },
    limit: 2,
    since: page.next_batch,
  })
  expect(names(rest)).toEqual(['Space'])
  expect(await alice.post('/publicRooms', { third_party_instance_id: 'irc' })).toMatchObject({ chunk: [] })
})

test('each domain has its own directory; who is not logged in sees it only where the operator wants that', async () => {
  await using server = await startTestServer({ serverNames: ['a.test', 'b.test'] })
  const [alice, bob] = [await server.register('alice'), await server.register('bob', { domain: 'b.test' })]
  await publish(alice, { name: 'Of A' })
  await publish(bob, { name: 'Of B' })
  expect(names(await alice.get('/publicRooms'))).toEqual(['Of A'])
  expect(names(await alice.get('/publicRooms', { server: 'b.test' }))).toEqual(['Of B'])
  expect((await alice.attempt('get', '/publicRooms', { query: { server: 'c.test' } })).status).toBe(404)
  expect((await server.request('get', '/_matrix/client/v3/publicRooms')).status).toBe(401)
  await using open = await startTestServer({ sharing: server, config: { rooms: { directory_requires_login: false } } })
  const headers = { 'x-forwarded-host': 'b.test' }
  expect(names((await open.request('get', '/_matrix/client/v3/publicRooms', { headers })).body)).toEqual(['Of B'])
})

test('a page costs the same statements however many rooms there are', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  for (let index = 0; index < 12; index++) await publish(alice, { name: `Room ${index}` })
  await alice.get('/publicRooms')
  const cost = async (limit: number): Promise<number> => {
    const before = server.ctx.database.cost.statements
    expect((await alice.get('/publicRooms', { limit })).chunk).toHaveLength(limit)
    return server.ctx.database.cost.statements - before
  }
  const [one, twelve] = [await cost(1), await cost(12)]
  expect(twelve).toBe(one)
  expect(twelve).toBeLessThanOrEqual(3)
})
