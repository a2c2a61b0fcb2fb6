import { expect, test } from 'vitest'
import type { RoomId } from '../../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient, type TestServer } from '../../testing/index.ts'

const path = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
const everything = { timeline_limit: 10, required_state: [['*', '*']] }

type Query = { pos?: string | undefined; timeout?: number }

/** A sliding sync in the unstable form. */
function slide(client: TestClient, body: object, query: Query = {}): Promise<Answer> {
  return client.request('post', path, { body, query })
}

function window(first: number, last: number, more: object = {}) {
  return { lists: { all: { ranges: [[first, last]], timeline_limit: 1, required_state: [], ...more } } }
}

function say(client: TestClient, room: RoomId, body: string) {
  return client.send(room, 'm.room.message', { msgtype: 'm.text', body })
}

function bodies(room: Answer): unknown[] {
  return (room.timeline ?? [])
    .filter((event: Answer) => event.type === 'm.room.message')
    .map((event: Answer) => event.content.body)
}

function kindsOf(room: Answer): string[] {
  return (room.required_state ?? []).map((event: Answer) => `${event.type}|${event.state_key}`).sort()
}

async function twoUsers(options: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer(options)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  return { server, alice, bob, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('the switch: neither form nor the flag without it', async () => {
  await using on = await startTestServer()
  expect((await on.request('get', '/_matrix/client/versions')).body.unstable_features).toMatchObject({
    'org.matrix.simplified_msc3575': true,
  })
  await using off = await startTestServer({ config: { experimental: { sliding_sync: false } } })
  const alice = await off.register('alice')
  const { body } = await off.request('get', '/_matrix/client/versions')
  expect(body.unstable_features).not.toHaveProperty('org.matrix.simplified_msc3575')
  for (const one of [path, '/_matrix/client/v4/sync']) {
    expect((await alice.attempt('post', one, { body: {} })).status).toBe(404)
  }
})

test('a first window: the newest rooms, each with all that a list shows', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const old = await alice.createRoom({ name: 'Old' })
  const named = await alice.createRoom({ name: 'Named', preset: 'public_chat' })
  const unnamed = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(unnamed)
  await bob.join(named)
  await alice.sendState(named, 'm.room.avatar', { url: 'mxc://a.test/avatar' })
  await say(bob, unnamed, 'one')
  const { event_id } = await say(bob, named, 'two')
  const answer = await slide(alice, window(0, 1, { timeline_limit: 2, required_state: [['m.room.create', '']] }))
  expect(answer.lists.all.count).toBe(3)
  expect(Object.keys(answer.rooms).sort()).toEqual([named, unnamed].sort())
  expect(answer.rooms[old]).toBeUndefined()
  const room = answer.rooms[named]
  expect(room).toMatchObject({
    initial: true,
    name: 'Named',
    avatar: 'mxc://a.test/avatar',
    joined_count: 2,
    invited_count: 0,
    notification_count: 1,
    highlight_count: 0,
    limited: true,
    num_live: 0,
    prev_batch: expect.any(String),
    bump_stamp: expect.any(Number),
  })
  expect(room.heroes).toBeUndefined()
  expect(kindsOf(room)).toEqual(['m.room.create|'])
  expect(room.timeline.at(-1)).toMatchObject({ event_id, content: { body: 'two' } })
  expect(answer.rooms[unnamed].name).toBeUndefined()
  expect(answer.rooms[unnamed].heroes).toEqual([{ user_id: bob.userId, displayname: 'bob' }])
  expect(room.bump_stamp).toBeGreaterThan(answer.rooms[unnamed].bump_stamp)
  const before = await alice.get(`/rooms/${encodeURIComponent(named)}/messages`, { dir: 'b', from: room.prev_batch })
  expect(before.chunk[0].event_id).not.toBe(room.timeline[0].event_id)
  // The position serves as a place in a timeline too.
  await alice.get(`/rooms/${encodeURIComponent(named)}/messages`, { dir: 'b', from: answer.pos })
})

test('increments: what is new, and only once; a retried position gives the same again', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const body = window(0, 9, { timeline_limit: 5, required_state: [['m.room.topic', '']] })
  const { pos: first } = await slide(bob, body)
  expect((await slide(bob, body, { pos: first })).rooms).toEqual({})
  await say(alice, room, 'news')
  await alice.sendState(room, 'm.room.topic', { topic: 'new' })
  await alice.sendState(room, 'm.room.name', { name: 'Named' })
  const second = await slide(bob, body, { pos: first })
  expect(second.rooms[room]).toMatchObject({ limited: false, num_live: 3, name: 'Named', notification_count: 1 })
  expect(second.rooms[room].initial).toBeUndefined()
  expect(kindsOf(second.rooms[room])).toEqual(['m.room.topic|'])
  expect((await slide(bob, body, { pos: first })).rooms[room].timeline.map((event: Answer) => event.event_id)).toEqual(
    second.rooms[room].timeline.map((event: Answer) => event.event_id),
  )
  expect((await slide(bob, body, { pos: second.pos })).rooms).toEqual({})
})

test('a parked request is answered by what concerns it', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const [room, other] = [
    await alice.createRoom({ preset: 'public_chat' }),
    await alice.createRoom({ preset: 'public_chat' }),
  ]
  await bob.join(room)
  await bob.join(other)
  const body = { room_subscriptions: { [room]: everything } }
  const { pos } = await slide(bob, body)
  let isAnswered = false
  const parked = slide(bob, body, { pos, timeout: 20_000 }).finally(() => {
    isAnswered = true
  })
  await say(alice, other, 'not for this connection')
  expect((await slide(bob, { conn_id: 'other', ...window(0, 9) })).rooms[other]).toBeDefined()
  expect(isAnswered).toBe(false)
  await say(alice, room, 'here')
  const answer = await parked
  expect(Object.keys(answer.rooms)).toEqual([room])
  expect(bodies(answer.rooms[room])).toEqual(['here'])
})

test('unknown positions: of nobody, of another connection, of another device', async () => {
  await using all = await twoUsers()
  const { server, alice, bob } = all
  await alice.createRoom()
  await bob.createRoom()
  const { pos } = await slide(alice, window(0, 9))
  const other = await server.logIn('alice')
  for (const [client, body, wrong] of [
    [alice, window(0, 9), 'nonsense'],
    [alice, window(0, 9), 's1'],
    [alice, { ...window(0, 9), conn_id: 'two' }, pos],
    [bob, window(0, 9), pos],
    [other, window(0, 9), pos],
  ] as const) {
    const response = await client.attempt('post', path, { body, query: { pos: wrong } })
    expect([response.status, response.body.errcode]).toEqual([400, 'M_UNKNOWN_POS'])
  }
})

test('connections are kept apart, and of a device only the last few', async () => {
  await using all = await twoUsers()
  const { server, alice } = all
  const room = await alice.createRoom()
  const { pos: first } = await slide(alice, { ...window(0, 9), conn_id: 'c0' })
  for (let number = 1; number <= 8; number++) {
    const answer = await slide(alice, { ...window(0, 9), conn_id: `c${number}` })
    expect(answer.rooms[room].initial).toBe(true)
  }
  const rows = await server.ctx.database.db.selectFrom('sliding_sync_states').selectAll().execute()
  expect(rows.map((row) => row.conn_id).sort()).toEqual(['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8'])
  await alice.post('/logout')
  expect(await server.ctx.database.db.selectFrom('sliding_sync_states').selectAll().execute()).toEqual([])
  expect(first).toBeDefined()
})

test('rooms that leave the window are told from where they left off', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const [one, two] = [
    await alice.createRoom({ preset: 'public_chat' }),
    await alice.createRoom({ preset: 'public_chat' }),
  ]
  for (const room of [one, two]) await bob.join(room)
  await say(alice, one, 'first')
  const body = window(0, 0, { timeline_limit: 10 })
  const first = await slide(bob, body)
  expect(Object.keys(first.rooms)).toEqual([one])
  await say(alice, one, 'second')
  await say(alice, two, 'other')
  const second = await slide(bob, body, { pos: first.pos })
  expect(Object.keys(second.rooms)).toEqual([two])
  await say(alice, one, 'third')
  const third = await slide(bob, body, { pos: second.pos })
  expect(third.rooms[one].initial).toBeUndefined()
  expect(bodies(third.rooms[one])).toEqual(['second', 'third'])
  expect(third.rooms[one].num_live).toBe(1)
})

test('timelines and required state that grow', async () => {
  await using all = await twoUsers()
  const { alice } = all
  const room = await alice.createRoom({ topic: 'Topic' })
  for (const body of ['a', 'b', 'c']) await say(alice, room, body)
  const small = window(0, 9, { required_state: [['m.room.create', '']] })
  const first = await slide(alice, small)
  expect(bodies(first.rooms[room])).toEqual(['c'])
  const subscribed = {
    ...small,
    room_subscriptions: { [room]: { timeline_limit: 3, required_state: [['m.room.topic', '']] } },
  }
  const second = await slide(alice, subscribed, { pos: first.pos })
  expect(second.rooms[room]).toMatchObject({ unstable_expanded_timeline: true, num_live: 0 })
  expect(second.rooms[room].initial).toBeUndefined()
  expect(bodies(second.rooms[room])).toEqual(['a', 'b', 'c'])
  expect(kindsOf(second.rooms[room])).toEqual(['m.room.topic|'])
  expect((await slide(alice, subscribed, { pos: second.pos })).rooms).toEqual({})
})

test('required state: pairs, wildcards, $ME, $LAZY, and everything but', async () => {
  await using all = await twoUsers()
  const { server, alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Name' })
  const carol = await server.register('carol')
  await bob.join(room)
  await carol.join(room)
  await alice.sendState(room, 'x.setting', {}, 'a')
  await alice.sendState(room, 'x.setting', {}, 'b')
  await say(bob, room, 'hello')
  const kinds = async (...required: [string, string][]): Promise<string[]> => {
    const answer = await slide(alice, {
      room_subscriptions: { [room]: { timeline_limit: 1, required_state: required } },
    })
    return kindsOf(answer.rooms[room])
  }
  expect(await kinds(['x.setting', 'a'])).toEqual(['x.setting|a'])
  expect(await kinds(['x.setting', '*'])).toEqual(['x.setting|a', 'x.setting|b'])
  expect(await kinds(['*', 'b'])).toEqual(['x.setting|b'])
  expect(await kinds(['m.room.member', '$ME'])).toEqual([`m.room.member|${alice.userId}`])
  expect(await kinds(['m.room.member', '$LAZY'])).toEqual([`m.room.member|${bob.userId}`])
  expect(await kinds(['m.room.member', '*'])).toHaveLength(3)
  const whole = await kinds(['*', '*'])
  expect(whole.filter((kind) => kind.startsWith('m.room.member'))).toHaveLength(3)
  expect(whole).toContain('x.setting|a')
  const lazy = await kinds(['*', '*'], ['m.room.member', '$LAZY'])
  expect(lazy.filter((kind) => kind.startsWith('m.room.member'))).toEqual([`m.room.member|${bob.userId}`])
  const narrowed = await kinds(['*', '*'], ['x.setting', 'b'])
  expect(narrowed.filter((kind) => kind.startsWith('x.'))).toEqual(['x.setting|b'])
})

test('lazily loaded members are told once, and again where the answer was lost', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await say(alice, room, 'mine')
  const body = window(0, 9, { timeline_limit: 1, required_state: [['m.room.member', '$LAZY']] })
  const first = await slide(alice, body)
  expect(kindsOf(first.rooms[room])).toEqual([`m.room.member|${alice.userId}`])
  await say(bob, room, 'theirs')
  for (let attempt = 0; attempt < 2; attempt++) {
    const again = await slide(alice, body, { pos: first.pos })
    expect(kindsOf(again.rooms[room])).toEqual([`m.room.member|${bob.userId}`])
  }
  const { pos } = await slide(alice, body, { pos: first.pos })
  await say(bob, room, 'more')
  const last = await slide(alice, body, { pos })
  expect(bodies(last.rooms[room])).toEqual(['more'])
  expect(kindsOf(last.rooms[room])).toEqual([])
})

test('filters', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const plain = await alice.createRoom({ name: 'Plain Room' })
  const secret = await alice.createRoom({
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  const space = await alice.createRoom({ creation_content: { type: 'm.space' } })
  await alice.sendState(space, 'm.space.child', { via: ['a.test'] }, plain)
  const invited = await bob.createRoom({ invite: [alice.userId] })
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/m.direct`, { [bob.userId]: [secret] })
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(plain)}/tags/m.favourite`, {})
  const listed = async (filters: object): Promise<string[]> => {
    const answer = await slide(alice, window(0, 9, { filters }))
    expect(answer.lists.all.count).toBe(Object.keys(answer.rooms).length)
    return Object.keys(answer.rooms).sort()
  }
  const sorted = (...rooms: string[]) => rooms.sort()
  expect(await listed({})).toEqual(sorted(plain, secret, space, invited))
  expect(await listed({ is_dm: true })).toEqual([secret])
  expect(await listed({ is_dm: false })).toEqual(sorted(plain, space, invited))
  expect(await listed({ is_encrypted: true })).toEqual([secret])
  expect(await listed({ is_invite: true })).toEqual([invited])
  expect(await listed({ is_invite: false })).toEqual(sorted(plain, secret, space))
  expect(await listed({ room_types: ['m.space'] })).toEqual([space])
  expect(await listed({ room_types: [null], is_invite: false })).toEqual(sorted(plain, secret))
  expect(await listed({ not_room_types: ['m.space'] })).toEqual(sorted(plain, secret, invited))
  expect(await listed({ room_types: [null, 'm.space'], not_room_types: [null] })).toEqual([space])
  expect(await listed({ room_name_like: 'n rOO' })).toEqual([plain])
  expect(await listed({ tags: ['m.favourite', 'u.x'] })).toEqual([plain])
  expect(await listed({ not_tags: ['m.favourite'] })).toEqual(sorted(secret, space, invited))
  expect(await listed({ spaces: [space] })).toEqual([plain])
  expect(await listed({ spaces: ['!unknown:a.test'] })).toEqual([])
  // What changes is followed.
  await alice.sendState(space, 'm.space.child', {}, plain)
  await alice.sendState(plain, 'm.room.name', { name: 'Renamed' })
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/m.direct`, {})
  expect(await listed({ spaces: [space] })).toEqual([])
  expect(await listed({ room_name_like: 'renamed' })).toEqual([plain])
  expect(await listed({ is_dm: true })).toEqual([])
})

test('C28: invites, knocks and rooms that were left or taken away', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const invited = await alice.createRoom({ name: 'Party', invite: [bob.userId] })
  const knocked = await alice.createRoom({
    initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
  })
  await bob.post(`/knock/${encodeURIComponent(knocked)}`)
  const left = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(left)
  await bob.leave(left)
  const kicked = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(kicked)
  await alice.membership(kicked, 'kick', { user_id: bob.userId })
  await alice.sendState(kicked, 'm.room.topic', { topic: 'afterwards' })
  await say(alice, kicked, 'afterwards')
  const never = await alice.createRoom({ preset: 'public_chat' })
  const body = {
    ...window(0, 9, { timeline_limit: 5, required_state: [['*', '*']] }),
    room_subscriptions: { [never]: everything, [left]: everything, '!nowhere:a.test': everything },
  }
  const answer = await slide(bob, body)
  expect(Object.keys(answer.rooms).sort()).toEqual([invited, knocked, kicked].sort())
  const invite = answer.rooms[invited]
  expect(invite.invite_state.map((event: Answer) => event.type)).toContain('m.room.name')
  for (const key of ['timeline', 'required_state', 'name', 'joined_count']) expect(invite).not.toHaveProperty(key)
  expect(answer.rooms[knocked].knock_state.length).toBeGreaterThan(0)
  expect(JSON.stringify(answer.rooms[kicked])).not.toContain('afterwards')
  expect(answer.rooms[kicked].timeline.at(-1).content.membership).toBe('leave')
  // An invite that is accepted becomes a room; one that is left is told of once.
  await bob.join(invited)
  const joined = await slide(bob, body, { pos: answer.pos })
  expect(joined.rooms[invited]).toMatchObject({ initial: true, name: 'Party', joined_count: 2 })
  await bob.leave(invited)
  const gone = await slide(bob, body, { pos: joined.pos })
  expect(gone.rooms[invited].timeline.at(-1).content.membership).toBe('leave')
  await alice.sendState(invited, 'm.room.topic', { topic: 'later' })
  expect((await slide(bob, body, { pos: gone.pos })).rooms).toEqual({})
})

test('C41: odd contents and ignored users', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await alice.sendState(room, 'm.room.name', { name: { not: 'a text' } })
  await alice.sendState(room, 'm.room.avatar', { url: 5 })
  const body = window(0, 9, { timeline_limit: 5 })
  const first = await slide(alice, body)
  expect(first.rooms[room].name).toBeUndefined()
  expect(first.rooms[room].avatar).toBeUndefined()
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`, {
    ignored_users: { [bob.userId]: {} },
  })
  await say(bob, room, 'ignored')
  expect((await slide(alice, body, { pos: first.pos })).rooms).toEqual({})
})

test('what is asked wrongly', async () => {
  await using all = await twoUsers()
  const { alice } = all
  const lists = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`l${index}`, everything]))
  for (const body of [
    { lists },
    { lists: { all: { ranges: [[0, -1]], timeline_limit: 1, required_state: [] } } },
    { lists: { all: { timeline_limit: 1 } } },
    { lists: { all: { ...everything, required_state: [['m.room.create']] } } },
    { room_subscriptions: { '!a:b': { timeline_limit: 'x', required_state: [] } } },
    { extensions: { to_device: { enabled: true, since: 'no token' } } },
    { conn_id: 5 },
  ]) {
    expect((await alice.attempt('post', path, { body })).status, JSON.stringify(body)).toBe(400)
  }
})

test('extensions: to-device, keys, account data, receipts, typing', async () => {
  await using all = await twoUsers()
  const { alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { event_id } = await say(alice, room, 'read me')
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(event_id)}`, {})
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room)}/account_data/x.room`, {
    a: 1,
  })
  await bob.put('/sendToDevice/x.type/1', { messages: { [alice.userId]: { [alice.deviceId]: { n: 1 } } } })
  const asked = (since?: string) => ({
    ...window(0, 9),
    extensions: {
      to_device: { enabled: true, ...(since !== undefined && { since }) },
      e2ee: { enabled: true },
      account_data: { enabled: true },
      receipts: { enabled: true },
      typing: { enabled: true },
      'x.unknown': { enabled: true },
    },
  })
  const first = await slide(alice, asked())
  const { extensions } = first
  expect(Object.keys(extensions).sort()).toEqual(['account_data', 'e2ee', 'receipts', 'to_device', 'typing'])
  expect(extensions.to_device.events).toMatchObject([{ type: 'x.type', content: { n: 1 }, sender: bob.userId }])
  expect(extensions.e2ee.device_one_time_keys_count).toBeDefined()
  expect(extensions.account_data.global.map((event: Answer) => event.type)).toContain('m.push_rules')
  expect(extensions.account_data.rooms[room]).toEqual([{ type: 'x.room', content: { a: 1 } }])
  expect(extensions.receipts.rooms[room]).toMatchObject({
    type: 'm.receipt',
    content: { [event_id]: { 'm.read': { [bob.userId]: { ts: expect.any(Number) } } } },
  })
  expect(extensions.typing.rooms).toEqual({})
  // Not acknowledged: again. Acknowledged: gone.
  const again = await slide(alice, asked(), { pos: first.pos })
  expect(again.extensions.to_device.events).toHaveLength(1)
  const { next_batch: since } = again.extensions.to_device
  const third = await slide(alice, asked(since), { pos: again.pos })
  expect(third.extensions.to_device.events).toEqual([])
  expect(third.extensions.account_data).toEqual({ global: [], rooms: {} })
  expect(third.extensions.receipts).toEqual({ rooms: {} })
  // A wait ends by each of them.
  for (const [act, check] of [
    [
      () =>
        bob.put(`/rooms/${encodeURIComponent(room)}/typing/${encodeURIComponent(bob.userId)}`, {
          typing: true,
          timeout: 30_000,
        }),
      (one: Answer) => expect(one.typing.rooms[room].content.user_ids).toEqual([bob.userId]),
    ],
    [
      () => alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/x.global`, { b: 2 }),
      (one: Answer) => expect(one.account_data.global).toEqual([{ type: 'x.global', content: { b: 2 } }]),
    ],
    [
      () => bob.put('/sendToDevice/x.type/2', { messages: { [alice.userId]: { '*': { n: 2 } } } }),
      (one: Answer) => expect(one.to_device.events).toMatchObject([{ content: { n: 2 } }]),
    ],
  ] as const) {
    const { pos } = await slide(alice, asked(since), { pos: third.pos })
    const parked = slide(alice, asked(since), { pos, timeout: 20_000 })
    await act()
    check((await parked).extensions)
  }
})

test('an extension that is asked for later tells everything it knows', async () => {
  await using all = await twoUsers()
  const { alice } = all
  const room = await alice.createRoom()
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room)}/account_data/x.room`, {
    a: 1,
  })
  const { pos } = await slide(alice, window(0, 9))
  const body = { ...window(0, 9), extensions: { account_data: { enabled: true } } }
  const answer = await slide(alice, body, { pos })
  expect(answer.extensions.account_data.rooms[room]).toEqual([{ type: 'x.room', content: { a: 1 } }])
  expect((await slide(alice, body, { pos: answer.pos })).extensions.account_data.rooms).toEqual({})
})

test('a token of one process serves at another, and after a restart', async () => {
  await using one = await startTestServer({ redis: true })
  await using two = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const elsewhere = two.adopt(alice)
  const [room, other] = [await alice.createRoom(), await alice.createRoom()]
  const body = window(0, 9, { required_state: [['m.room.topic', '']] })
  const first = await slide(alice, body)
  expect(Object.keys(first.rooms)).toHaveLength(2)
  await say(alice, room, 'news')
  const second = await slide(elsewhere, body, { pos: first.pos })
  expect(Object.keys(second.rooms)).toEqual([room])
  expect(second.rooms[room].initial).toBeUndefined()
  expect(bodies(second.rooms[room])).toEqual(['news'])
  await alice.sendState(other, 'm.room.topic', { topic: 'new' })
  const third = await slide(elsewhere, body, { pos: second.pos, timeout: 20_000 })
  expect(kindsOf(third.rooms[other])).toEqual(['m.room.topic|'])
  await elsewhere.send(room, 'm.room.message', { msgtype: 'm.text', body: 'more' }, 'elsewhere')
  const server: TestServer = await startTestServer({ sharing: one })
  await using three = server
  const fourth = await slide(three.adopt(alice), body, { pos: third.pos })
  expect(Object.keys(fourth.rooms)).toEqual([room])
  expect(bodies(fourth.rooms[room])).toEqual(['more'])
})

test('reading changes the counts of a room and nothing else', async () => {
  await using all = await twoUsers()
  const { server, alice, bob } = all
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { event_id } = await say(alice, room, 'unread')
  const other = await server.logIn('bob')
  const body = window(0, 9)
  const first = await slide(other, body)
  expect(first.rooms[room].notification_count).toBe(1)
  const parked = slide(other, body, { pos: first.pos, timeout: 20_000 })
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(event_id)}`, {})
  const second = await parked
  expect(second.rooms[room].notification_count).toBe(0)
  expect(second.rooms[room]).not.toHaveProperty('timeline')
})

test('a request that was given up leaves nothing behind that a later one trips over', async () => {
  await using all = await twoUsers({ redis: true })
  const { server, alice, bob } = all
  await using elsewhere = await startTestServer({ sharing: server })
  const [room, other] = [
    await alice.createRoom({ preset: 'public_chat' }),
    await alice.createRoom({ preset: 'public_chat' }),
  ]
  await bob.join(other)
  await bob.join(room)
  const { pos } = await slide(bob, window(0, 0))
  const gone = new AbortController()
  const url = new URL(`${bob.base}${path}`)
  url.search = `?pos=${encodeURIComponent(pos)}&timeout=20000`
  // Wants a room more, so that its answer would be another state of the connection.
  const givenUp = fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${bob.accessToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ lists: {} }),
    signal: gone.signal,
  }).catch(() => undefined)
  const session = await server.ctx.sessions.of({
    userId: bob.userId,
    userNid: server.ctx.dictionaries.cachedUser(bob.userId)!,
  })
  while (session.waiters.size === 0) await new Promise((resolve) => setImmediate(resolve))
  const second = await slide(bob, window(0, 1), { pos })
  gone.abort()
  await givenUp
  while (session.waiters.size > 0) await new Promise((resolve) => setImmediate(resolve))
  expect(Object.keys(second.rooms)).toEqual([other])
  // The state that the later request left is in the database still.
  expect((await slide(elsewhere.adopt(bob), window(0, 1), { pos: second.pos })).rooms).toEqual({})
})

test('extensions for some lists and rooms only', async () => {
  await using all = await twoUsers()
  const { alice } = all
  const [listed, subscribed] = [
    await alice.createRoom(),
    await alice.createRoom({ creation_content: { type: 'm.space' } }),
  ]
  for (const room of [listed, subscribed]) {
    await alice.put(`/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room)}/account_data/x.room`, {
      some: 'thing',
    })
  }
  const told = async (scope: object): Promise<string[]> => {
    const answer = await slide(alice, {
      ...window(0, 9, { filters: { not_room_types: ['m.space'] } }),
      room_subscriptions: { [subscribed]: everything },
      extensions: { account_data: { enabled: true, ...scope } },
    })
    return Object.keys(answer.extensions.account_data.rooms).sort()
  }
  expect(await told({})).toEqual([listed, subscribed].sort())
  expect(await told({ rooms: [] })).toEqual([listed])
  expect(await told({ lists: [] })).toEqual([subscribed])
  expect(await told({ lists: ['other'], rooms: [listed] })).toEqual([])
})

test('lists overlap: the larger of their timelines, all of their states, whichever ranges', async () => {
  await using all = await twoUsers()
  const { alice } = all
  const room = await alice.createRoom({ topic: 'Topic', name: 'Name' })
  const rest = [await alice.createRoom(), await alice.createRoom(), await alice.createRoom()]
  for (const body of ['a', 'b', 'c']) await say(alice, room, body)
  const answer = await slide(alice, {
    lists: {
      small: { ranges: [[0, 0]], timeline_limit: 1, required_state: [['m.room.topic', '']] },
      large: {
        ranges: [
          [0, 1],
          [3, 5],
        ],
        timeline_limit: 3,
        required_state: [['m.room.name', '']],
      },
      whole: { slow_get_all_rooms: true, timeline_limit: 0, required_state: [] },
    },
  })
  expect(bodies(answer.rooms[room])).toEqual(['a', 'b', 'c'])
  expect(kindsOf(answer.rooms[room])).toEqual(['m.room.name|', 'm.room.topic|'])
  expect(Object.keys(answer.rooms).sort()).toEqual([room, ...rest].sort())
  expect(answer.rooms[rest[1]!].timeline).toBeUndefined()
})

test('state that changes while the client is away is read from the database', async () => {
  await using one = await startTestServer()
  const alice = await one.register('alice')
  const room = await alice.createRoom({ topic: 'Old' })
  const body = window(0, 9, { timeline_limit: 1, required_state: [['*', '*']] })
  const { pos } = await slide(alice, body)
  await alice.sendState(room, 'm.room.topic', { topic: 'New' })
  await alice.sendState(room, 'm.room.name', { name: 'Named' })
  for (const text of ['a', 'b']) await say(alice, room, text)
  await using two = await startTestServer({ sharing: one })
  const answer = await slide(two.adopt(alice), body, { pos })
  expect(answer.rooms[room]).toMatchObject({ name: 'Named', limited: true, num_live: 1 })
  expect(answer.rooms[room].initial).toBeUndefined()
  expect(kindsOf(answer.rooms[room])).toEqual(['m.room.name|', 'm.room.topic|'])
})

test('a parked request asks the database once, however often it is woken', async () => {
  await using one = await startTestServer()
  const [alice, bob] = [await one.register('alice'), await one.register('bob')]
  const [room, other] = [
    await alice.createRoom({ preset: 'public_chat' }),
    await alice.createRoom({ preset: 'public_chat' }),
  ]
  await bob.join(room)
  await bob.join(other)
  const body = { room_subscriptions: { [room]: everything } }
  const { pos } = await slide(bob, body)
  // A process that has nothing of what came before it.
  await using two = await startTestServer({ sharing: one })
  const [alice2, bob2] = [two.adopt(alice), two.adopt(bob)]
  const { ctx } = two
  const parked = slide(bob2, body, { pos, timeout: 20_000 })
  const reader = { userId: bob.userId, userNid: one.ctx.dictionaries.cachedUser(bob.userId)! }
  const waiters = async (): Promise<number> => (await ctx.sessions.of(reader)).waiters.size
  while ((await waiters()) === 0) await new Promise((resolve) => setImmediate(resolve))
  await say(alice2, other, 'warms the room up')
  while ((await waiters()) === 0) await new Promise((resolve) => setImmediate(resolve))
  ctx.database.cost.log = []
  await alice2.send(other, 'm.room.message', { msgtype: 'm.text', body: 'wakes and tells nothing' }, 'second')
  while ((await waiters()) === 0) await new Promise((resolve) => setImmediate(resolve))
  expect(ctx.database.cost.log.filter((text) => /^(select|with messages)/.test(text))).toEqual([])
  await alice2.send(room, 'm.room.message', { msgtype: 'm.text', body: 'here' }, 'third')
  expect(bodies((await parked).rooms[room])).toEqual(['here'])
})

test('another device hears of a room that was left and forgotten at once', async () => {
  await using all = await twoUsers()
  const { server, alice } = all
  const room = await alice.createRoom()
  const other = await server.logIn('alice')
  const first = await slide(other, window(0, 9))
  await alice.leave(room)
  await alice.membership(room, 'forget')
  const second = await slide(other, window(0, 9), { pos: first.pos })
  expect(second.rooms[room].timeline.at(-1).content.membership).toBe('leave')
  const third = await slide(other, window(0, 9), { pos: second.pos })
  expect([third.rooms, third.lists.all.count]).toEqual([{}, 0])
})
