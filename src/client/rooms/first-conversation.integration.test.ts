import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

test('two users talk: create, invite, join, send, sync, messages', async () => {
  await using server = await startTestServer({ log: (await import('pino')).pino({ level: 'error' }) })
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const room = await alice.createRoom({ name: 'Hello', preset: 'private_chat' })
  await alice.invite(room, bob.userId)

  const invited = await bob.get('/sync')
  expect(Object.keys(invited.rooms.invite)).toEqual([room])
  await bob.join(room)
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hi' })

  const synced = await bob.get('/sync', { since: invited.next_batch })
  const { timeline, unread_notifications: unread } = synced.rooms.join[room]
  expect(timeline.events.at(-1)).toMatchObject({ event_id: eventId, content: { body: 'hi' }, sender: alice.userId })
  expect(unread.notification_count).toBe(1)

  const waiting = bob.get('/sync', { since: synced.next_batch, timeout: 10_000 })
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'still there?' })
  const woken = await waiting
  expect(woken.rooms.join[room].timeline.events.map((event: { content: object }) => event.content)).toEqual([
    { msgtype: 'm.text', body: 'still there?' },
  ])

  const page = await bob.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', limit: 3 })
  expect(page.chunk.map((event: { type: string }) => event.type)).toEqual([
    'm.room.message',
    'm.room.message',
    'm.room.member',
  ])
})
