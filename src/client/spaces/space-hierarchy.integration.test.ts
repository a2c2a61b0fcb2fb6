import { expect, test } from 'vitest'
import type { RoomId } from '../../matrix/ids.ts'
import { startTestServer, type TestClient } from '../../testing/index.ts'

function createSpace(client: TestClient, name: string, options: object = {}): Promise<RoomId> {
  return client.createRoom({ name, creation_content: { type: 'm.space' }, ...options })
}

function addChild(client: TestClient, space: RoomId, child: RoomId, content: object = {}) {
  return client.sendState(space, 'm.space.child', { via: ['a.test'], ...content }, child)
}

function hierarchy(client: TestClient, space: RoomId, query: Record<string, string | number | boolean> = {}) {
  return client.attempt('get', `/_matrix/client/v1/rooms/${encodeURIComponent(space)}/hierarchy`, { query })
}

const names = (answer: { body: { rooms: { name: string }[] } }) => answer.body.rooms.map(({ name }) => name)

test('the tree depth first, in the order of the space, in pages', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const root = await createSpace(alice, 'Root')
  const inner = await createSpace(alice, 'Inner')
  const rooms = new Map<string, RoomId>()
  for (const name of ['One', 'Two', 'Three']) rooms.set(name, await alice.createRoom({ name }))
  await addChild(alice, root, rooms.get('Two')!)
  await addChild(alice, root, rooms.get('One')!, { order: 'b', suggested: true })
  await addChild(alice, root, inner, { order: 'a' })
  await addChild(alice, inner, rooms.get('Three')!)
  await addChild(alice, inner, root)
  await alice.sendState(root, 'm.space.child', {}, rooms.get('Three')!)
  await alice.sendState(root, 'm.space.child', { via: ['a.test'] }, 'not a room')

  const all = await hierarchy(alice, root)
  expect(names(all)).toEqual(['Root', 'Inner', 'Three', 'One', 'Two'])
  expect(all.body.rooms[0]).toMatchObject({ room_type: 'm.space', num_joined_members: 1 })
  expect(all.body.rooms[0].children_state.map((event: { state_key: string }) => event.state_key)).toEqual([
    inner,
    rooms.get('One'),
    rooms.get('Two'),
  ])
  expect(all.body.rooms[0].children_state[1]).toEqual({
    type: 'm.space.child',
    state_key: rooms.get('One'),
    sender: alice.userId,
    content: { via: ['a.test'], order: 'b', suggested: true },
    origin_server_ts: expect.any(Number),
  })
  expect(all.body.rooms[2].children_state).toEqual([])
  expect(names(await hierarchy(alice, root, { max_depth: 0 }))).toEqual(['Root'])
  expect(names(await hierarchy(alice, root, { max_depth: 1 }))).toEqual(['Root', 'Inner', 'One', 'Two'])
  expect(names(await hierarchy(alice, root, { suggested_only: true }))).toEqual(['Root', 'One'])

  const paged: string[] = []
  let from: string | undefined
  do {
    const page = await hierarchy(alice, root, { limit: 2, ...(from !== undefined && { from }) })
    paged.push(...names(page))
    from = page.body.next_batch
  } while (from !== undefined)
  expect(paged).toEqual(names(all))
  const { next_batch: token } = (await hierarchy(alice, root, { limit: 2 })).body
  for (const query of [
    { from: token, max_depth: 1 },
    { from: token, suggested_only: true },
    { from: 'x' },
    { limit: 0 },
  ]) {
    const refused = await hierarchy(alice, root, query as Record<string, string>)
    expect([refused.status, refused.body.errcode]).toEqual([400, 'M_INVALID_PARAM'])
  }
})

test('only rooms that the user may know of', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const root = await createSpace(alice, 'Root', { preset: 'public_chat' })
  const hidden = await createSpace(alice, 'Hidden')
  const open = await alice.createRoom({ name: 'Open', preset: 'public_chat' })
  const below = await alice.createRoom({ name: 'Below', preset: 'public_chat' })
  const members = await alice.createRoom({
    name: 'Members',
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: root }] },
      },
    ],
  })
  for (const child of [hidden, open, members]) await addChild(alice, root, child)
  await addChild(alice, hidden, below)
  expect(names(await hierarchy(bob, root))).toEqual(['Root', 'Open'])
  await bob.join(root)
  expect(names(await hierarchy(bob, root))).toEqual(['Root', 'Open', 'Members'])
  await alice.invite(hidden, bob.userId)
  expect(names(await hierarchy(bob, root))).toEqual(['Root', 'Hidden', 'Below', 'Open', 'Members'])
  const closed = await createSpace(alice, 'Closed')
  const [refused, unknown] = [await hierarchy(bob, closed), await hierarchy(bob, `!${'x'.repeat(43)}`)]
  expect([refused.status, refused.body]).toEqual([403, unknown.body])
})
