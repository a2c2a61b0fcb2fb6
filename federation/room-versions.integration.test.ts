import { expect, test } from 'vitest'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { sees, via } from './two-servers.fixtures.ts'

const config = { experimental: { msc3757: true } }
const wish = { preset: 'public_chat', room_version: 'org.matrix.msc3757.11' }

test('a room of an unstable version is joined where the version is offered', async () => {
  await using one = await startFederatedServer({}, { config })
  await using other = await startFederatedServer({}, { config })
  await using without = await startFederatedServer()
  const [alice, bob, carol] = [
    await one.register('alice'),
    await other.register('bob'),
    await without.register('carol'),
  ]
  const room = await alice.createRoom(wish)
  const path = `/join/${encodeURIComponent(room)}?via=${via(one)}`
  await bob.post(path)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' })
  await sees(alice, room, 'hello')
  const refused = await carol.attempt('post', path, { body: {} })
  expect(refused.body.errcode).toBe('M_INCOMPATIBLE_ROOM_VERSION')
  const invite = { user_id: carol.userId }
  const invited = await alice.attempt('post', `/rooms/${encodeURIComponent(room)}/invite`, { body: invite })
  expect(invited.status).toBeGreaterThanOrEqual(400)
})
