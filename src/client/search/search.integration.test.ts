import { expect, test } from 'vitest'
import type { EventId, RoomId } from '../../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient, type TestServerOptions } from '../../testing/index.ts'

const on = { config: { search: { enabled: true } } } satisfies TestServerOptions

async function say(client: TestClient, room: RoomId, body: string): Promise<EventId> {
  return (await client.send(room, 'm.room.message', { msgtype: 'm.text', body })).event_id
}

async function search(client: TestClient, term: string, more: object = {}, next?: string): Promise<Answer> {
  const { status, body } = await client.attempt('post', '/search', {
    body: { search_categories: { room_events: { search_term: term, ...more } } },
    ...(next !== undefined && { query: { next_batch: next } }),
  })
  return status === 200 ? body.search_categories.room_events : body
}

const bodies = (found: Answer): string[] => found.results.map(({ result }: Answer) => result.content.body)

test('all words, in any order, whatever their case and accents; the best first, or the newest', async () => {
  await using server = await startTestServer(on)
  const alice = await server.register('alice')
  const room = await alice.createRoom({ name: 'Télégraphe', topic: 'Of signals' })
  await say(alice, room, 'The été of the telegraph')
  await say(alice, room, 'Telegraph, telegraph, TELEGRAPH!')
  await say(alice, room, 'nothing')
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: { no: 'text' } })
  const found = await search(alice, 'telegraph')
  expect(found).toMatchObject({ count: 2, results: [{ rank: expect.any(Number), result: { room_id: room } }, {}] })
  expect(found.highlights.sort()).toEqual(['telegraph'])
  expect(bodies(found)).toEqual(['Telegraph, telegraph, TELEGRAPH!', 'The été of the telegraph'])
  expect(bodies(await search(alice, 'ETE Télégraph'))).toEqual(['The été of the telegraph'])
  expect((await search(alice, 'ete')).highlights.sort()).toEqual(['ete', 'été'])
  const recent = await search(alice, 'the', { order_by: 'recent' })
  expect(bodies(recent)).toEqual(['The été of the telegraph'])
  const named = await search(alice, 'telegraphe')
  expect(named.results.map(({ result }: Answer) => result.content)).toEqual([{ name: 'Télégraphe' }])
  expect((await search(alice, 'telegraphe', { keys: ['content.body', 'content.topic'] })).count).toBe(0)
  expect((await search(alice, 'signals', { keys: ['content.topic'] })).count).toBe(1)
  const hostile = ['', '   ', "'", "' | 'x", '!1', ':*', '\\', '\0', '<->', 'x'.repeat(3000)]
  for (const term of hostile) expect((await search(alice, term)).results, term).toEqual([])
  expect((await search(alice, 'telegraph '.repeat(1000))).count).toBe(2)
})

test('pages, groups, senders and other filters', async () => {
  await using server = await startTestServer(on)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const [one, other] = [await alice.createRoom({ preset: 'public_chat' }), await alice.createRoom()]
  await bob.join(one)
  for (let index = 0; index < 5; index++) await say(index % 2 === 0 ? alice : bob, one, `word ${index}`)
  await say(alice, other, 'word elsewhere')
  for (const order_by of ['recent', 'rank']) {
    const all = bodies(await search(alice, 'word', { order_by }))
    const paged: string[] = []
    for (let next: string | undefined; ; ) {
      const page = await search(alice, 'word', { order_by, filter: { limit: 4 } }, next)
      expect(page.count).toBe(6)
      paged.push(...bodies(page))
      next = page.next_batch
      if (next === undefined) break
    }
    expect([paged, new Set(paged).size]).toEqual([all, 6])
  }
  expect(bodies(await search(alice, 'word', { filter: { rooms: [other] } }))).toEqual(['word elsewhere'])
  expect((await search(alice, 'word', { filter: { not_rooms: [one] } })).count).toBe(1)
  const byBob = await search(alice, 'word', { filter: { senders: [bob.userId], limit: 1 }, order_by: 'recent' })
  expect(bodies(byBob)).toEqual(['word 3'])
  const filtered = { filter: { senders: [bob.userId], limit: 1 }, order_by: 'recent' }
  expect(bodies(await search(alice, 'word', filtered, byBob.next_batch))).toEqual(['word 1'])

  const groupings = { group_by: [{ key: 'room_id' }, { key: 'sender' }] }
  const grouped = await search(alice, 'word', { groupings, order_by: 'recent', filter: { limit: 3 } })
  expect(bodies(grouped)).toEqual(['word elsewhere', 'word 4', 'word 3'])
  const { groups } = grouped
  expect(Object.keys(groups.room_id)).toEqual([other, one])
  expect(groups.room_id[one]).toMatchObject({ order: 1, results: [expect.any(String), expect.any(String)] })
  expect(groups.sender[bob.userId].results).toHaveLength(1)
  const inGroup = async (next: string) => bodies(await search(alice, 'word', { order_by: 'recent' }, next))
  expect(await inGroup(groups.room_id[one].next_batch)).toEqual(['word 2', 'word 1', 'word 0'])
  expect(await inGroup(groups.room_id[other].next_batch)).toEqual([])
  expect(await inGroup(groups.sender[bob.userId].next_batch)).toEqual(['word 1'])

  for (const next of ['x', '1_2', "1_2_3'", '-_1_1', '1_2_3_r', `1_${'9'.repeat(40)}_1`]) {
    expect(await search(alice, 'word', {}, next), next).toMatchObject({ errcode: 'M_INVALID_PARAM' })
  }
  for (const more of [
    { keys: ['content.url'] },
    { order_by: 'oldest' },
    { filter: 7 },
    { event_context: { before_limit: -1 } },
  ]) {
    expect((await search(alice, 'word', more)).errcode, JSON.stringify(more)).toBe('M_BAD_JSON')
  }
})

test('what is around a result, who they were then, and the state of the room', async () => {
  await using server = await startTestServer(on)
  const alice = await server.register('alice')
  const rename = (displayname: string) =>
    alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname })
  await rename('Alice then')
  const room = await alice.createRoom({ name: 'Room' })
  for (let index = 1; index <= 7; index++) await say(alice, room, `Message number ${index}`)
  await rename('Alice now')
  const found = await search(alice, 'message 4', {
    event_context: { before_limit: 2, after_limit: 1, include_profile: true },
    include_state: true,
  })
  const { context } = found.results[0]
  const around = (events: Answer[]) => events.map(({ content }) => content.body)
  expect([around(context.events_before), around(context.events_after)]).toEqual([
    ['Message number 3', 'Message number 2'],
    ['Message number 5'],
  ])
  expect(context.profile_info).toEqual({ [alice.userId]: { displayname: 'Alice then' } })
  const path = `/rooms/${encodeURIComponent(room)}/messages`
  const before = await alice.get(path, { dir: 'b', from: context.start, limit: 1 })
  expect(around(before.chunk)).toEqual(['Message number 1'])
  const after = await alice.get(path, { dir: 'f', from: context.end, limit: 1 })
  expect(around(after.chunk)).toEqual(['Message number 6'])
  const capped = await search(alice, 'message 4', {
    event_context: { before_limit: 1_000_000, after_limit: 1_000_000 },
  })
  expect(capped.results[0].context.events_before.length).toBeLessThanOrEqual(20)
  const state: Answer[] = found.state[room]
  expect(state.find(({ type }) => type === 'm.room.name').content).toEqual({ name: 'Room' })
  expect(state.find(({ type }) => type === 'm.room.member').content.displayname).toBe('Alice now')
})

test('only what one may see, in rooms that are not encrypted', async () => {
  await using server = await startTestServer(on)
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const joined = { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }
  const room = await alice.createRoom({ preset: 'public_chat', initial_state: [joined] })
  await say(alice, room, 'secret before')
  await bob.join(room)
  await say(alice, room, 'secret during')
  await bob.leave(room)
  await say(alice, room, 'secret after')
  expect(await search(bob, 'secret', { order_by: 'recent' })).toMatchObject({
    count: 1,
    results: [{ result: { content: { body: 'secret during' } } }],
  })
  const around = await search(bob, 'during', { event_context: {}, include_state: true })
  expect(JSON.stringify(around)).not.toMatch(/secret (before|after)/)
  expect(await search(carol, 'secret')).toMatchObject({ count: 0, results: [] })
  await alice.invite(room, carol.userId)
  expect(await search(carol, 'secret')).toMatchObject({ count: 0, results: [] })
  await bob.membership(room, 'forget')
  expect(await search(bob, 'secret')).toMatchObject({ count: 0, results: [] })

  const ignored = { ignored_users: { [alice.userId]: {} } }
  const shared = await alice.createRoom({ preset: 'public_chat' })
  await carol.join(shared)
  await say(alice, shared, 'noise')
  await carol.put(`/user/${encodeURIComponent(carol.userId)}/account_data/m.ignored_user_list`, ignored)
  expect((await search(carol, 'noise')).results).toEqual([])

  const encryption = { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
  const encrypted = await alice.createRoom({ initial_state: [encryption] })
  await say(alice, encrypted, 'in clear by mistake')
  await say(alice, shared, 'mistake of before')
  await alice.sendState(shared, encryption.type, encryption.content)
  expect((await search(alice, 'mistake')).count).toBe(0)
  const rows = await server.ctx.database.db.selectFrom('searchable_events').select('words').execute()
  expect(rows.filter(({ words }) => words.includes('clear'))).toEqual([])
})

test.each(['rank', 'recent'])('what is redacted is gone from the index (%s)', async (order_by) => {
  await using server = await startTestServer(on)
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const gone = await say(alice, room, 'unique regrettable')
  await say(alice, room, 'unique kept')
  const size = async () => (await server.ctx.database.db.selectFrom('searchable_events').select('key').execute()).length
  const before = await size()
  await alice.put(`/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(gone)}/t1`)
  expect(bodies(await search(alice, 'unique', { order_by }))).toEqual(['unique kept'])
  expect(await size()).toBe(before - 1)
  expect(JSON.stringify(await search(alice, 'kept', { event_context: {} }))).not.toContain('regrettable')
})

test('switched on later it finds what was said before; switched off it finds and keeps nothing', async () => {
  await using off = await startTestServer()
  const alice = await off.register('alice')
  const room = await alice.createRoom({ name: 'Ancient' })
  const gone = await say(alice, room, 'ancient regrettable')
  await alice.put(`/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(gone)}/t1`)
  await say(alice, room, 'ancient words')
  expect(await search(alice, 'ancient')).toEqual({ count: 0, highlights: [], results: [] })
  const { database } = off.ctx
  const progress = async () => (await database.db.selectFrom('search_progress').select('below').execute())[0]?.below
  {
    await using switched = await startTestServer({ sharing: off, ...on })
    // Both processes claim the index; whoever has it decides.
    await off.ctx.ownership.close()
    await expect.poll(progress, { timeout: 20_000 }).toBe(0)
    const found = await search(switched.adopt(alice), 'ancient', { order_by: 'recent' })
    expect(found.results.map(({ result }: Answer) => result.content.body ?? result.content.name)).toEqual([
      'ancient words',
      'Ancient',
    ])
  }
  await using again = await startTestServer({ sharing: off })
  await expect.poll(progress, { timeout: 20_000 }).toBeUndefined()
  expect(await again.ctx.database.db.selectFrom('searchable_events').select('key').execute()).toEqual([])
})
