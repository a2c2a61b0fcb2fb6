import { expect, test } from 'vitest'
import { startAdministered } from '../../testing/administration.ts'

const enc = encodeURIComponent
const v1 = '/_synapse/admin/v1/rooms'

test('rooms are listed, ordered, searched and described', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const large = await alice.createRoom({
    name: 'Great Hall',
    topic: 'all',
    preset: 'public_chat',
    visibility: 'public',
  })
  const small = await alice.createRoom({ name: 'Cabinet', room_alias_name: 'cabinet' })
  const empty = await bob.createRoom({})
  await bob.join(large)
  await bob.leave(empty)
  await bob.membership(empty, 'forget')
  const ids = async (query: Record<string, string | number | boolean>) => {
    const { rooms } = await root.get(v1, query)
    return rooms.map((room: { room_id: string }) => room.room_id)
  }
  expect(await ids({})).toEqual([small, large, empty])
  expect(await ids({ order_by: 'joined_members' })).toEqual([large, small, empty])
  expect(await ids({ search_term: 'cAbI' })).toEqual([small])
  expect(await ids({ search_term: large })).toEqual([large])
  expect(await ids({ public_rooms: true })).toEqual([large])
  expect(await ids({ empty_rooms: true })).toEqual([empty])
  for (const order of [
    'name',
    'canonical_alias',
    'joined_local_members',
    'version',
    'creator',
    'encryption',
    'federatable',
    'public',
    'join_rules',
    'guest_access',
    'history_visibility',
    'state_events',
    'alphabetical',
    'size',
  ]) {
    expect(await ids({ order_by: order, dir: 'b' }), order).toHaveLength(3)
  }
  const page = await root.get(v1, { limit: 1, from: 1 })
  expect(page).toMatchObject({ offset: 1, total_rooms: 3, next_batch: 2, prev_batch: 0 })
  for (const query of [{ order_by: 'nothing' }, { search_term: '' }, { limit: 0 }, { from: -1 }, { dir: 'x' }]) {
    expect((await root.attempt('get', v1, { query })).status, JSON.stringify(query)).toBe(400)
  }

  expect(await root.get(`${v1}/${enc(large)}`)).toMatchObject({
    room_id: large,
    name: 'Great Hall',
    topic: 'all',
    creator: alice.userId,
    joined_members: 2,
    joined_local_members: 2,
    public: true,
    join_rules: 'public',
    federatable: true,
    version: '12',
    encryption: null,
    forgotten: false,
  })
  expect((await root.attempt('get', `${v1}/${enc('!none:a.test')}`)).status).toBe(404)
  expect(await root.get(`${v1}/${enc(large)}/members`)).toEqual({ members: [alice.userId, bob.userId], total: 2 })
  const { state } = await root.get(`${v1}/${enc(large)}/state`, { type: 'm.room.name' })
  expect(state).toHaveLength(1)
  expect(state[0]).toMatchObject({ type: 'm.room.name', content: { name: 'Great Hall' }, sender: alice.userId })
})

test('what was said is read by administrators who are not in the room', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const sent = []
  for (const body of ['one', 'two', 'three']) {
    sent.push((await alice.send(room, 'm.room.message', { msgtype: 'm.text', body })).event_id)
  }
  const bodies = (events: { content: { body?: string } }[]) => events.map((event) => event.content.body)
  const newest = await root.get(`${v1}/${enc(room)}/messages`, { limit: 2 })
  expect(bodies(newest.chunk)).toEqual(['three', 'two'])
  const filter = JSON.stringify({ types: ['m.room.message'] })
  const rest = await root.get(`${v1}/${enc(room)}/messages`, { from: newest.end, filter })
  expect(bodies(rest.chunk)).toEqual(['one'])
  const forwards = await root.get(`${v1}/${enc(room)}/messages`, { dir: 'f', limit: 100, filter })
  expect(bodies(forwards.chunk)).toEqual(['one', 'two', 'three'])
  const around = await root.get(`${v1}/${enc(room)}/context/${enc(sent[1]!)}`, { limit: 2 })
  expect([bodies(around.events_before), around.event.content.body, bodies(around.events_after)]).toEqual([
    ['one'],
    'two',
    ['three'],
  ])
  expect(around.state.length).toBeGreaterThan(3)
  const { event } = await root.get(`/_synapse/admin/v1/fetch_event/${enc(sent[0]!)}`)
  expect(event).toMatchObject({ event_id: sent[0], room_id: room, content: { body: 'one' } })
  const near = await root.get(`${v1}/${enc(room)}/timestamp_to_event`, { ts: event.origin_server_ts, dir: 'f' })
  expect(near.origin_server_ts).toBe(event.origin_server_ts)
  for (const path of [
    `${v1}/${enc(room)}/context/${enc('$nothing')}`,
    `${v1}/${enc('!none:a.test')}/messages`,
    `/_synapse/admin/v1/fetch_event/${enc('$nothing')}`,
    `${v1}/${enc(room)}/timestamp_to_event?ts=9000000000000`,
  ]) {
    expect((await root.attempt('get', path)).status, path).toBe(404)
  }
  expect((await root.attempt('get', `${v1}/${enc(room)}/messages`, { query: { from: 'x' } })).status).toBe(400)
})

test('what is below a space is seen by administrators who may not look into it', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const space = await alice.createRoom({ creation_content: { type: 'm.space' }, name: 'Ministry' })
  const inner = await alice.createRoom({ creation_content: { type: 'm.space' }, name: 'Cabinet' })
  const room = await alice.createRoom({ name: 'Secret' })
  const via = { via: ['a.test'] }
  await alice.put(`/rooms/${enc(space)}/state/m.space.child/${enc(inner)}`, { ...via, order: 'a' })
  await alice.put(`/rooms/${enc(space)}/state/m.space.child/${enc('!elsewhere:b.test')}`, { via: ['b.test'] })
  await alice.put(`/rooms/${enc(inner)}/state/m.space.child/${enc(room)}`, via)
  const path = `${v1}/${enc(space)}/hierarchy`
  const names = ({ rooms }: { rooms: { name: string }[] }) => rooms.map(({ name }) => name)
  const whole = await root.get(path)
  expect(names(whole)).toEqual(['Ministry', 'Cabinet', 'Secret'])
  expect(whole.rooms[0].children_state).toHaveLength(2)
  expect(names(await root.get(path, { max_depth: 1 }))).toEqual(['Ministry', 'Cabinet'])
  const first = await root.get(path, { limit: 2 })
  expect(names(await root.get(path, { limit: 2, from: first.next_batch }))).toEqual(['Secret'])
  expect((await root.attempt('get', `${v1}/${enc('!none:a.test')}/hierarchy`)).status).toBe(404)
  // The client API goes on by who may know of what.
  expect((await root.attempt('get', `/_matrix/client/v1/rooms/${enc(space)}/hierarchy`)).status).toBe(403)
})

test('a blocked room takes in nobody', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const path = `${v1}/${enc(room)}/block`
  expect(await root.get(path)).toEqual({ block: false })
  expect(await root.put(path, { block: true })).toEqual({ block: true })
  expect(await root.get(path)).toEqual({ block: true, user_id: root.userId })
  expect((await bob.attempt('post', `/join/${enc(room)}`)).body.errcode).toBe('M_FORBIDDEN')
  expect((await alice.attempt('post', `/rooms/${enc(room)}/invite`, { body: { user_id: bob.userId } })).status).toBe(
    403,
  )
  await root.put(path, { block: false })
  await bob.join(room)
  expect((await root.attempt('put', path, { body: {} })).status).toBe(400)
})

test('users are brought into rooms and given power there', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const open = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'open' })
  const join = (room: string, user: string) =>
    root.attempt('post', `/_synapse/admin/v1/join/${enc(room)}`, { body: { user_id: user } })
  expect(await join('#open:a.test', bob.userId)).toMatchObject({ status: 200, body: { room_id: open } })
  expect((await bob.get('/joined_rooms')).joined_rooms).toEqual([open])
  const closed = await alice.createRoom({ name: 'closed', power_level_content_override: { users_default: 0 } })
  expect((await join(closed, bob.userId)).status).toBe(403)
  expect((await join(closed, '@nobody:a.test')).status).toBe(404)
  expect((await join(closed, '@user:elsewhere.test')).status).toBe(400)
  await alice.invite(closed, root.userId)
  await root.join(closed)
  expect((await join(closed, bob.userId)).status).toBe(200)

  expect(await root.post(`${v1}/${enc(closed)}/make_room_admin`, { user_id: bob.userId })).toEqual({})
  const levels = await alice.getState(closed, 'm.room.power_levels')
  expect(levels.users[bob.userId]).toBe(100)
  await bob.sendState(closed, 'm.room.topic', { topic: 'bob may' })
  const carol = await server.register('carol')
  await root.post(`${v1}/${enc(closed)}/make_room_admin`, { user_id: carol.userId })
  await carol.join(closed)
  expect(await root.get(`${v1}/${enc(closed)}/forward_extremities`)).toMatchObject({
    count: 1,
    results: [{ event_id: expect.stringMatching(/^\$/), depth: expect.any(Number), received_ts: expect.any(Number) }],
  })
  expect(await root.delete(`${v1}/${enc(closed)}/forward_extremities`)).toEqual({ deleted: 0 })
  expect((await root.attempt('post', `${v1}/${enc('!none:a.test')}/make_room_admin`, { body: {} })).status).toBe(404)
})
