import { expect, test } from 'vitest'
import { startTestServer, type TestClient } from '../../testing/index.ts'

async function found(client: TestClient, term: string, limit?: number): Promise<string[]> {
  const body = await client.post('/user_directory/search', { search_term: term, ...(limit !== undefined && { limit }) })
  return body.results.map((user: { user_id: string }) => user.user_id.slice(1).split(':')[0])
}

function rename(client: TestClient, displayname: string) {
  return client.put(`/profile/${encodeURIComponent(client.userId)}/displayname`, { displayname })
}

test('C38: those one shares a room with, and those in public rooms', async () => {
  await using server = await startTestServer()
  const [alice, bob, carol, dave, erin] = await Promise.all(
    ['alice', 'bob', 'carol', 'dave', 'erin'].map((name) => server.register(name)),
  )
  for (const one of [bob!, carol!, dave!, erin!]) await rename(one, `Officer ${one.userId.slice(1, 5)}`)
  expect(await found(alice!, 'officer')).toEqual([])
  const shared = await alice!.createRoom({ invite: [bob!.userId] })
  await bob!.join(shared)
  await carol!.createRoom({ preset: 'public_chat' })
  await dave!.createRoom({
    initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }],
  })
  await erin!.createRoom()
  expect(await found(alice!, 'officer')).toEqual(['bob', 'carol', 'dave'])
  expect(await alice!.post('/user_directory/search', { search_term: 'officer', limit: 2 })).toMatchObject({
    results: [{ user_id: bob!.userId, display_name: 'Officer bob:' }, { user_id: carol!.userId }],
    limited: true,
  })
  await bob!.leave(shared)
  expect(await found(alice!, 'bob')).toEqual([])
  await using all = await startTestServer({ sharing: server, config: { user_directory: { search_all_users: true } } })
  expect(await found(all.adopt(alice!), 'officer')).toEqual(['bob', 'carol', 'dave', 'erin'])
})

test('by the beginning of words, whatever their case and accents; the best first', async () => {
  await using server = await startTestServer({ config: { user_directory: { search_all_users: true } } })
  const alice = await server.register('alice')
  const people: readonly (readonly [string, string])[] = [
    ['claude', 'Claude Chappe'],
    ['ignace', 'Ignace Chappé'],
    ['chap', 'Somebody'],
    ['helene.brun', "Hélène d'Arc-Brun"],
    ['olga', 'Ольга Иванова'],
    ['quote', `O'Neil "the \\ one" <&|!:*()>`],
  ]
  for (const [user, name] of people) await rename(await server.register(user), name)
  expect(await found(alice, 'chap')).toEqual(['chap', 'claude', 'ignace'])
  expect(await found(alice, 'CHAPPE')).toEqual(['claude', 'ignace'])
  expect(await found(alice, 'ignace chappe')).toEqual(['ignace'])
  expect(await found(alice, 'chappe ign')).toEqual(['ignace'])
  expect(await found(alice, 'helene')).toEqual(['helene.brun'])
  expect(await found(alice, 'ARC')).toEqual(['helene.brun'])
  expect(await found(alice, 'ИВАН')).toEqual(['olga'])
  expect(await found(alice, '@helene.brun:a.test')).toEqual(['helene.brun'])
  expect(await found(alice, 'helene.b')).toEqual(['helene.brun'])
  expect(await found(alice, "o'neil")).toEqual(['quote'])
  expect(await found(alice, 'alice')).toEqual([])
  for (const term of ['', ' ', '%', "'", "' | 'zz", '\\', '!', ':*', '()', '’', '&&&', 'x'.repeat(10_000)]) {
    expect(await found(alice, term), term).toEqual([])
  }
  expect(await found(alice, 'chap', 0)).toEqual([])
})

test('somebody near is found however many have the same name', async () => {
  await using server = await startTestServer({ config: { user_directory: { search_all_users: true } } })
  const [alice, near] = [await server.register('alice'), await server.register('zoe')]
  await rename(near, 'Claude')
  await alice.createRoom({ invite: [near.userId] }).then((room) => near.join(room))
  const nearNid = (await server.ctx.dictionaries.findUsers([near.userId])).get(near.userId)
  await server.ctx.database.transaction(async (query) => {
    await query(
      `insert into users (user_id) select '@' || lpad(i::text, 4, '0') || ':a.test' from generate_series(1, 3000) i`,
      [],
    )
    const far = `user_id ~ '^@[0-9]{4}:'`
    await query(`insert into accounts (user_nid, created_at) select user_nid, 0 from users where ${far}`, [])
    await query(
      `insert into profiles (user_nid, fields) select user_nid, '{"displayname":"Claude"}' from users where ${far}`,
      [],
    )
    // Whoever was there first is looked at first.
    await query(`delete from profiles where fields like '%Claude%' and user_nid = $1`, [nearNid])
    await query(`insert into profiles (user_nid, fields) values ($1, '{"displayname":"Claude"}')`, [nearNid])
  })
  expect((await found(alice, 'claude', 3))[0]).toBe('zoe')
  expect((await found(alice, 'c', 3)).length).toBe(3)
  expect((await found(alice, '0042', 1))[0]).toBe('0042')
})

test('who has gone is not found', async () => {
  await using server = await startTestServer({ config: { user_directory: { search_all_users: true } } })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  expect(await found(alice, 'bob')).toEqual(['bob'])
  await bob.post('/account/deactivate', {
    auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, password: 'password of bob' },
  })
  expect(await found(alice, 'bob')).toEqual([])
})
