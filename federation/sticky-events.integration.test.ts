import { expect, test } from 'vitest'
import { pair, sees, synced, via } from './two-servers.fixtures.ts'

test('sticky events go to other servers, and to one that comes into the room while they last', async () => {
  await using servers = await pair({}, { config: { experimental: { msc4354: true } } })
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  const path = (id: string) =>
    `/rooms/${encodeURIComponent(room)}/send/x.sticky/${id}?org.matrix.msc4354.sticky_duration_ms=300000`
  const { event_id: before } = await alice.put(path('one'), { body: 'before' })
  for (const body of ['a', 'b', 'c']) await alice.send(room, 'm.room.message', { msgtype: 'm.text', body })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const found = await synced(bob, (sync) => {
    const joined = sync.rooms?.join?.[room]
    const events = [...(joined?.timeline?.events ?? []), ...(joined?.msc4354_sticky?.events ?? [])]
    return events.find((event) => event.event_id === before)
  })
  expect(found).toMatchObject({ msc4354_sticky: { duration_ms: 300_000 }, content: { body: 'before' } })
  await alice.put(path('two'), { body: 'after' })
  expect(await sees(bob, room, 'after')).toHaveProperty('msc4354_sticky')
  await bob.put(path('three'), { body: 'back' })
  expect(await sees(alice, room, 'back')).toHaveProperty('msc4354_sticky')
})
