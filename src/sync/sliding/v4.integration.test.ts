import { expect, test } from 'vitest'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

function slide(client: TestClient, body: object): Promise<Answer> {
  return client.post('/_matrix/client/v4/sync', body)
}

function list(required: object, more: object = {}) {
  return { lists: { all: { range: [0, 9], timeline_limit: 2, required_state: required, ...more } } }
}

function kindsOf(room: Answer): string[] {
  return (room.required_state ?? []).map((event: Answer) => `${event.type}|${event.state_key}`).sort()
}

test('the accepted form: names of fields, lists, membership, positions in the body', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ name: 'Name', preset: 'public_chat' })
  const invited = await bob.createRoom({ invite: [alice.userId] })
  const body = list({ include: [{ type: 'm.room.create', state_key: '' }] })
  const first = await slide(alice, body)
  expect(first.lists).toEqual({ all: { count: 2 } })
  expect(first.rooms[room]).toMatchObject({ membership: 'join', lists: ['all'], initial: true, name: 'Name' })
  expect(first.rooms[room].timeline_events).toHaveLength(2)
  expect(first.rooms[room]).not.toHaveProperty('timeline')
  expect(first.rooms[invited]).toMatchObject({ membership: 'invite', stripped_state: expect.any(Array) })
  expect(first.rooms[invited]).not.toHaveProperty('invite_state')
  await alice.sendState(room, 'm.room.name', {})
  const second = await slide(alice, { ...body, pos: first.pos, timeout: 10_000 })
  expect(second.rooms[room].name).toBeNull()
  const subscribed = {
    ...body,
    pos: second.pos,
    room_subscriptions: { [room]: { timeline_limit: 20, required_state: {} } },
  }
  expect((await slide(alice, subscribed)).rooms[room].expanded_timeline).toBe(true)
  const wrong = await alice.attempt('post', '/_matrix/client/v4/sync', { body: { ...body, pos: 'x' } })
  expect([wrong.status, wrong.body.errcode]).toEqual([400, 'M_UNKNOWN_POS'])
  for (const bad of [{ set_presence: 'sleeping' }, { lists: { all: { ...body.lists.all, range: [0] } } }]) {
    expect((await alice.attempt('post', '/_matrix/client/v4/sync', { body: bad })).status).toBe(400)
  }
})

test('required state: included, excluded, lazily loaded, and filters by invite', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await alice.sendState(room, 'x.setting', {}, 'a')
  for (const body of ['one', 'two']) await alice.send(room, 'm.room.message', { msgtype: 'm.text', body })
  const invited = await bob.createRoom({ invite: [alice.userId] })
  const kinds = async (required: object): Promise<string[]> => kindsOf((await slide(alice, list(required))).rooms[room])
  const members = (all: readonly string[]): string[] => all.filter((kind) => kind.startsWith('m.room.member'))
  const whole = await kinds({ include: [{}] })
  expect(members(whole)).toHaveLength(2)
  expect(await kinds({ include: [{}], exclude: [{ type: 'm.room.create', state_key: '' }] })).toEqual(
    whole.filter((kind) => kind !== 'm.room.create|'),
  )
  expect(members(await kinds({ include: [{}], lazy_members: true }))).toEqual([`m.room.member|${alice.userId}`])
  expect(await kinds({ include: [{ type: 'x.setting' }] })).toEqual(['x.setting|a'])
  expect(await kinds({ include: [{ state_key: 'a' }] })).toEqual(['x.setting|a'])
  const onlyInvites = await slide(alice, list({}, { filters: { is_invited: true } }))
  expect(Object.keys(onlyInvites.rooms)).toEqual([invited])
})
