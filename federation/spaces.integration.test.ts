import { expect, test } from 'vitest'
import type { RoomId, ServerName } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { startRecordingServer, type TestClient, type TestServer } from '../src/testing/index.ts'
import { signedRequest, startFederatedServer } from './federated-server.fixtures.ts'
import { invited, pair } from './two-servers.fixtures.ts'

const nameOf = (server: TestServer): ServerName => server.ctx.domains.default

function createSpace(client: TestClient, name: string, options: object = {}): Promise<RoomId> {
  return client.createRoom({ preset: 'public_chat', name, creation_content: { type: 'm.space' }, ...options })
}

function addChild(client: TestClient, space: RoomId, child: RoomId, server: TestServer, content: object = {}) {
  return client.sendState(space, 'm.space.child', { via: [nameOf(server)], ...content }, child)
}

async function names(client: TestClient, space: RoomId, query: Record<string, string | number | boolean> = {}) {
  const path = `/_matrix/client/v1/rooms/${encodeURIComponent(space)}/hierarchy`
  const { body } = await client.attempt('get', path, { query })
  return body.rooms?.map((room: { name: string }) => room.name) ?? body.errcode
}

function asked(from: TestServer, to: TestServer, room: RoomId, query = '') {
  return signedRequest(from, to, 'GET', `/_matrix/federation/v1/hierarchy/${encodeURIComponent(room)}${query}`)
}

const restrictedTo = (room: RoomId) => ({
  initial_state: [
    {
      type: 'm.room.join_rules',
      content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: room }] },
    },
  ],
})

test('a tree whose rooms are on two servers, in pages', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const root = await createSpace(alice, 'Root')
  const near = await alice.createRoom({ preset: 'public_chat', name: 'Near' })
  const far = await bob.createRoom({ preset: 'public_chat', name: 'Far' })
  const inner = await createSpace(bob, 'Inner')
  const deep = await bob.createRoom({ preset: 'public_chat', name: 'Deep' })
  const back = await alice.createRoom({ preset: 'public_chat', name: 'Back' })
  await addChild(alice, root, near, one, { order: 'a', suggested: true })
  await addChild(alice, root, inner, other, { order: 'b' })
  await addChild(alice, root, far, other, { order: 'c', suggested: true })
  await addChild(bob, inner, deep, other, { order: 'a' })
  await addChild(bob, inner, back, one, { order: 'b' })
  await addChild(bob, inner, root, one, { order: 'c' })

  const all = ['Root', 'Near', 'Inner', 'Deep', 'Back', 'Far']
  expect(await names(alice, root)).toEqual(all)
  expect(await names(alice, root, { max_depth: 1 })).toEqual(['Root', 'Near', 'Inner', 'Far'])
  expect(await names(alice, root, { suggested_only: true })).toEqual(['Root', 'Near', 'Far'])
  const path = `/_matrix/client/v1/rooms/${encodeURIComponent(root)}/hierarchy`
  const paged: string[] = []
  for (let from: string | undefined; ; ) {
    const page = await alice.get(path, { limit: 2, ...(from !== undefined && { from }) })
    paged.push(...page.rooms.map(({ name }: { name: string }) => name))
    from = page.next_batch
    if (from === undefined) break
  }
  expect(paged).toEqual(all)
})

test('what a room elsewhere is, for who may know of it', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const summary = (client: TestClient, room: string, query: Record<string, string> = { via: nameOf(one) }) =>
    client.attempt('get', `/_matrix/client/v1/room_summary/${encodeURIComponent(room)}`, { query })
  const open = await alice.createRoom({ preset: 'public_chat', name: 'Open', room_alias_name: 'open' })
  expect((await summary(bob, open)).body).toMatchObject({ room_id: open, name: 'Open', num_joined_members: 1 })
  expect((await summary(bob, `#open:${nameOf(one)}`, {})).body.room_id).toBe(open)
  // Nobody makes this server ask others without being known.
  const unknown = `/_matrix/client/v1/room_summary/${encodeURIComponent(open)}?via=${encodeURIComponent(nameOf(one))}`
  expect((await other.request('get', unknown)).status).toBe(404)
  const alias = encodeURIComponent(`#open:${nameOf(one)}`)
  expect((await other.request('get', `/_matrix/client/v1/room_summary/${alias}`)).status).toBe(404)

  const closed = await alice.createRoom({ name: 'Closed' })
  expect((await summary(bob, closed)).status).toBe(404)
  await alice.invite(closed, bob.userId)
  await invited(bob, closed)
  const carol = await other.register('carol')
  expect((await summary(carol, closed)).status).toBe(404)
  expect((await summary(bob, closed)).body).toMatchObject({ name: 'Closed', membership: 'invite' })
  // That the server may be told does not mean that all of its users may.
  expect((await summary(carol, closed)).status).toBe(404)
})

test('a room for the members of a space is shown to them, once its server knows that they are there', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const carol = await one.register('carol')
  const space = await createSpace(alice, 'Space')
  const room = await bob.createRoom({ preset: 'public_chat', name: 'Room', ...restrictedTo(space) })
  await addChild(alice, space, room, other)
  expect(await names(alice, space)).toEqual(['Space'])
  await bob.post(`/join/${encodeURIComponent(space)}?via=${encodeURIComponent(nameOf(one))}`)
  expect(await names(alice, space)).toEqual(['Space', 'Room'])
  expect(await names(carol, space)).toEqual(['Space'])
})

test('a server is told what somebody of it could join or look into', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const space = await createSpace(alice, 'Space')
  const open = await alice.createRoom({ preset: 'public_chat', name: 'Open' })
  const closed = await alice.createRoom({ name: 'Closed' })
  const members = await alice.createRoom({ name: 'Members', ...restrictedTo(space) })
  const banned = await alice.createRoom({ preset: 'public_chat', name: 'Banned' })
  await alice.sendState(banned, 'm.room.server_acl', { allow: ['*'], deny: ['127.0.0.1'] })
  for (const child of [open, closed, members, banned]) await addChild(alice, space, child, one)
  await addChild(alice, space, `!${'x'.repeat(43)}`, one)

  const first = await asked(other, one, space)
  expect(first.body.room).toMatchObject({ name: 'Space', room_type: 'm.space' })
  expect(first.body.room.children_state).toHaveLength(5)
  expect(first.body.children.map((room: JsonObject) => room.name)).toEqual(['Open'])
  expect(first.body.inaccessible_children.sort()).toEqual([closed, members, banned].sort())
  expect((await asked(other, one, space, '?suggested_only=true')).body).toMatchObject({ children: [] })

  await bob.post(`/join/${encodeURIComponent(space)}?via=${encodeURIComponent(nameOf(one))}`)
  await alice.invite(closed, bob.userId)
  const second = await asked(other, one, space)
  expect(second.body.children.map((room: JsonObject) => room.name)).toEqual(['Open', 'Closed', 'Members'])

  const hidden = await alice.createRoom({ name: 'Hidden' })
  const answers = await Promise.all([hidden, banned, `!${'x'.repeat(43)}` as RoomId].map((id) => asked(other, one, id)))
  for (const { status, body } of answers) {
    expect([status, body]).toEqual([404, { errcode: 'M_NOT_FOUND', error: 'Room not found' }])
  }
  expect((await asked(other, one, space, '?suggested_only=perhaps')).status).toBe(400)
  expect((await one.request('get', `/_matrix/federation/v1/hierarchy/${encodeURIComponent(space)}`)).status).toBe(401)
})

test('what another server says of our rooms, and what is no answer, is not listened to', async () => {
  await using one = await startFederatedServer()
  const alice = await one.register('alice')
  const [bob, carol] = [await one.register('bob'), await one.register('carol')]
  const root = await createSpace(alice, 'Root')
  const hidden = await bob.createRoom({ name: 'Hidden' })
  const open = await bob.createRoom({ preset: 'public_chat', name: 'Open' })
  const [liar, nonsense] = [`!${'l'.repeat(43)}`, `!${'n'.repeat(43)}`] as [RoomId, RoomId]
  const elsewhere = `!${'e'.repeat(43)}`
  const child = (room: string, content: object) => ({
    type: 'm.space.child',
    state_key: room,
    sender: '@mallory:liar.example',
    content,
    origin_server_ts: 1,
  })
  const told = (room: string, name: string, more: object = {}) => ({
    room_id: room,
    name,
    num_joined_members: 1.5,
    world_readable: true,
    guest_can_join: 'yes',
    join_rule: 'public',
    membership: 'join',
    topic: { not: 'a text' },
    ...more,
  })
  await using hostile = await startRecordingServer()
  const server = new URL(hostile.url).host
  const answers: Record<string, unknown> = {
    [liar]: {
      room: told(liar, 'Liar', {
        room_type: 'm.space',
        children_state: [
          child(hidden, { via: [server] }),
          child(open, { via: [server] }),
          child(elsewhere, { via: [server] }),
          child('no room', { via: [server] }),
          child(nonsense, { via: 'no list' }),
          { type: 'm.room.name', state_key: root },
          null,
        ],
      }),
      children: [told(hidden, 'Revealed'), told(open, 'Renamed'), told(elsewhere, 'Elsewhere'), told('x', 'X'), 7],
      inaccessible_children: [open, 8],
    },
    [nonsense]: { room: told(liar, 'Another room'), children: {}, inaccessible_children: null },
  }
  hostile.answer = ({ path }) => {
    const room = decodeURIComponent(path.split('/').at(-1)!)
    return room in answers ? { status: 200, body: answers[room] } : { status: 404, body: { errcode: 'M_NOT_FOUND' } }
  }
  for (const room of [liar, nonsense]) {
    await alice.sendState(root, 'm.space.child', { via: [server] }, room)
  }
  expect((await names(carol, root)).sort()).toEqual(['Elsewhere', 'Liar', 'Open', 'Root'])
  const path = `/_matrix/client/v1/rooms/${encodeURIComponent(root)}/hierarchy`
  const { rooms } = await carol.get(path)
  const seen = rooms.find(({ room_id: id }: JsonObject) => id === elsewhere)
  expect(seen).toEqual({
    room_id: elsewhere,
    name: 'Elsewhere',
    join_rule: 'public',
    num_joined_members: 0,
    world_readable: true,
    guest_can_join: false,
    children_state: [],
  })
  const questions = hostile.requests.filter(({ path: asked }) => asked.includes('/hierarchy/'))
  expect(questions).toHaveLength(2)
})
