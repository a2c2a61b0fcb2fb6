import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { startTestServer, type TestClient } from '../testing/index.ts'

async function unread(client: TestClient, room: RoomId): Promise<object> {
  return (await client.get('/sync')).rooms.join[room].unread_notifications
}

async function talk() {
  const server = await startTestServer()
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const carol = await server.register('carol')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await carol.join(room)
  return { server, alice, bob, carol, room, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('messages count until they are read, mentions highlight, own messages do not count', async () => {
  await using all = await talk()
  const { alice, bob, carol, room } = all
  await alice.send(room, 'm.room.message', { body: 'hello' })
  const { event_id: mention } = await alice.send(room, 'm.room.message', {
    body: 'bob?',
    'm.mentions': { user_ids: [bob.userId] },
  })
  expect(await unread(bob, room)).toEqual({ notification_count: 2, highlight_count: 1 })
  expect(await unread(carol, room)).toEqual({ notification_count: 2, highlight_count: 0 })
  expect(await unread(alice, room)).toEqual({ notification_count: 0, highlight_count: 0 })

  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(mention)}`)
  expect(await unread(bob, room)).toEqual({ notification_count: 0, highlight_count: 0 })
  await alice.send(room, 'm.room.message', { body: 'more' })
  expect(await unread(bob, room)).toEqual({ notification_count: 1, highlight_count: 0 })
  await bob.send(room, 'm.room.message', { body: 'I have read that' })
  expect(await unread(bob, room)).toEqual({ notification_count: 0, highlight_count: 0 })
})

test('a whole room can be called, by who has the power to', async () => {
  await using all = await talk()
  const { alice, bob, carol, room } = all
  await alice.send(room, 'm.room.message', { body: 'all!', 'm.mentions': { room: true } })
  await bob.send(room, 'm.room.message', { body: 'all!', 'm.mentions': { room: true } })
  expect(await unread(carol, room)).toEqual({ notification_count: 2, highlight_count: 1 })
})

test('changed push rules count for their user alone', async () => {
  await using all = await talk()
  const { alice, bob, carol, room } = all
  await bob.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: [] })
  await carol.put('/pushrules/global/content/lunch', {
    pattern: 'lunch',
    actions: ['notify', { set_tweak: 'highlight' }],
  })
  await alice.send(room, 'm.room.message', { body: 'time for lunch' })
  await alice.send(room, 'm.room.message', { body: 'and dinner' })
  expect(await unread(bob, room)).toEqual({ notification_count: 0, highlight_count: 0 })
  expect(await unread(carol, room)).toEqual({ notification_count: 2, highlight_count: 1 })
})
