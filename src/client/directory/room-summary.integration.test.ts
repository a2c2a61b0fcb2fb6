import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

test('a summary for those who may know of the room, and the same 404 for all others', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const summary = (client: typeof bob, room: string) =>
    client.attempt('get', `/_matrix/client/v1/room_summary/${encodeURIComponent(room)}`)
  const open = await alice.createRoom({
    preset: 'public_chat',
    name: 'Open',
    topic: 'Everything',
    room_alias_name: 'open',
    initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  expect((await summary(bob, '#open:a.test')).body).toEqual({
    room_id: open,
    name: 'Open',
    topic: 'Everything',
    canonical_alias: '#open:a.test',
    join_rule: 'public',
    num_joined_members: 1,
    world_readable: false,
    guest_can_join: false,
    encryption: 'm.megolm.v1.aes-sha2',
    room_version: '12',
  })
  const path = `/_matrix/client/v1/room_summary/${encodeURIComponent(open)}`
  expect((await server.request('get', path)).body.name).toBe('Open')
  const closed = await alice.createRoom({ name: 'Closed' })
  expect((await summary(alice, closed)).body.membership).toBe('join')
  const [hidden, unknown] = [await summary(bob, closed), await summary(bob, `!${'x'.repeat(43)}`)]
  expect([hidden.status, hidden.body]).toEqual([404, unknown.body])
  await alice.invite(closed, bob.userId)
  expect((await summary(bob, closed)).body.membership).toBe('invite')
  const restricted = await alice.createRoom({
    name: 'For those in Open',
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: open }] },
      },
    ],
  })
  expect((await summary(bob, restricted)).status).toBe(404)
  await bob.join(open)
  expect((await summary(bob, restricted)).body.allowed_room_ids).toEqual([open])
  await alice.membership(open, 'ban', { user_id: bob.userId })
  expect((await summary(bob, open)).status).toBe(404)
})
