import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

test('a room as older clients ask for it', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ visibility: 'public', name: 'Old' })
  for (let index = 0; index < 25; index++)
    await alice.send(room, 'm.room.message', { body: `${index}`, msgtype: 'm.text' })
  await alice.put(`/user/${alice.userId}/rooms/${room}/account_data/x.note`, { a: 1 })
  const path = `/rooms/${encodeURIComponent(room)}/initialSync`
  const body = await alice.get(path)
  expect(body).toMatchObject({
    room_id: room,
    membership: 'join',
    visibility: 'public',
    account_data: [{ type: 'x.note', content: { a: 1 } }],
  })
  const { chunk, start } = body.messages
  expect(chunk.map((event: { content: { body: string } }) => event.content.body)).toEqual(
    Array.from({ length: 20 }, (_, index) => `${index + 5}`),
  )
  const earlier = await alice.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', from: start, limit: 1 })
  expect(earlier.chunk[0].content.body).toBe('4')
  expect(body.state.find((event: { type: string }) => event.type === 'm.room.name').content.name).toBe('Old')
  expect((await bob.attempt('get', path)).status).toBe(403)
})
