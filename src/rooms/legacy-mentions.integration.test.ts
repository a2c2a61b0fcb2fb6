import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { startTestServer, type TestClient } from '../testing/index.ts'

test('names in what is said count as mentions where that is switched on', async () => {
  await using server = await startTestServer({ config: { experimental: { legacy_mentions: true } } })
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  await carol.put(`/profile/${encodeURIComponent(carol.userId)}/displayname`, { displayname: 'The Queen' })
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'before Carol was there' })
  await carol.join(room)
  const say = (body: string) => alice.send(room, 'm.room.message', { msgtype: 'm.text', body })
  const unread = async (client: TestClient, at: RoomId): Promise<[number, number]> => {
    const counts = (await client.sync()).rooms.join[at].unread_notifications
    return [counts.notification_count, counts.highlight_count]
  }
  await say('hello bob')
  expect(await unread(bob, room)).toEqual([2, 1])
  expect(await unread(carol, room)).toEqual([1, 0])
  await say('hello the queen')
  await say('hello everybody')
  expect(await unread(bob, room)).toEqual([4, 1])
  expect(await unread(carol, room)).toEqual([3, 1])
  const { notifications } = await bob.get('/notifications', { only: 'highlight' })
  expect(notifications).toHaveLength(1)
})
