import { expect, test } from 'vitest'
import { pair, via } from './two-servers.fixtures.ts'

test('of two receipts for one event the one that is for everything is shown, here and elsewhere', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const message = { msgtype: 'm.text', body: 'hi' }
  const { event_id: root } = await alice.send(room, 'm.room.message', message)
  const thread = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
  const { event_id: reply } = await alice.send(room, 'm.room.message', { ...message, ...thread })
  const read = (eventId: string, body: object) =>
    alice.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`, body)
  await read(reply, {})
  await read(reply, { thread_id: root })
  // The last to arrive, by which it is known that the others have.
  await read(root, { thread_id: 'main' })
  for (const client of [alice, bob]) {
    const shown = async () => {
      const [receipts] = (await client.sync()).rooms.join[room].ephemeral.events
      return [root, reply].map((eventId) => receipts?.content[eventId]?.['m.read'][alice.userId])
    }
    await expect
      .poll(shown, { timeout: 10_000 })
      .toEqual([{ ts: expect.any(Number), thread_id: 'main' }, { ts: expect.any(Number) }])
  }
})
