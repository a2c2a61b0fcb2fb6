import { expect, test } from 'vitest'
import type { Answer } from '../src/testing/test-client.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { sees, synced, via } from './two-servers.fixtures.ts'

test('a server that was away is told everything once it is back, in order, whether or not the sender was away too', async () => {
  const one = await startFederatedServer({}, { kept: true })
  const other = await startFederatedServer({}, { kept: true })
  const portOf = (server: typeof one): number => Number(server.ctx.domains.default.split(':')[1])
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'before' })
  await sees(bob, room, 'before')
  await other.close()
  const say = (body: string) => alice.send(room, 'm.room.message', { msgtype: 'm.text', body })
  for (let number = 0; number < 60; number++) await say(`first ${number}`)
  await one.close()
  await using oneAgain = await startFederatedServer({}, { like: one, port: portOf(one) })
  const aliceAgain = oneAgain.adopt(alice)
  for (let number = 0; number < 60; number++) {
    await aliceAgain.send(room, 'm.room.message', { msgtype: 'm.text', body: `second ${number}` }, `second${number}`)
  }
  await using otherAgain = await startFederatedServer({}, { like: other, port: portOf(other) })
  const bobAgain = otherAgain.adopt(bob)
  // Whoever shows itself is not kept waiting.
  await bobAgain.send(room, 'm.room.message', { msgtype: 'm.text', body: 'back' }, 'back')
  await sees(bobAgain, room, 'second 59')
  const page: Answer = await bobAgain.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', limit: 200 })
  const bodies = page.chunk.flatMap(({ sender, content }: Answer) => (sender === alice.userId && content.body) || [])
  const expected = ['first', 'second'].flatMap((word) => Array.from({ length: 60 }, (_, index) => `${word} ${index}`))
  expect(bodies.reverse()).toEqual(['before', ...expected])
  await synced(aliceAgain, (sync) =>
    (sync.rooms?.join?.[room]?.timeline?.events ?? []).find(({ content }: Answer) => content.body === 'back'),
  )
}, 60_000)
