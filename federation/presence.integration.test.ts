import { expect, test } from 'vitest'
import type { Answer } from '../src/testing/index.ts'
import { pair, synced, via } from './two-servers.fixtures.ts'

test('presence is told to servers that share a room, from the join on, and belongs to its server', async () => {
  await using servers = await pair({}, { config: { presence: { enabled: true } } })
  const { alice, bob, one } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await alice.sync()
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const shown = (presence: string) =>
    synced(bob, (sync) =>
      (sync.presence?.events ?? []).find(
        ({ sender, content }: Answer) => sender === alice.userId && content.presence === presence,
      ),
    )
  await shown('online')
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'unavailable', status_msg: 'at lunch' })
  expect((await shown('unavailable')).content.status_msg).toBe('at lunch')
})
