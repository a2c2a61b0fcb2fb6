import { expect, test } from 'vitest'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { invited, knocked, leftBy, pair, seesMembership, via } from './two-servers.fixtures.ts'

test('a room that is known by an invite alone shows nothing, and takes nothing', async () => {
  await using servers = await pair()
  const { other, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
  await invited(bob, room)
  const carol = await other.register('carol')
  const event = encodeURIComponent(`$${'x'.repeat(43)}`)
  const place = `/rooms/${encodeURIComponent(room)}`
  const attempts: [method: string, path: string, body?: object][] = [
    ['put', `${place}/send/m.room.message/1`, { msgtype: 'm.text', body: 'x' }],
    ['put', `${place}/state/m.room.name/`, { name: 'x' }],
    ['put', `${place}/redact/${event}/2`, {}],
    ['post', `${place}/invite`, { user_id: carol.userId }],
    ['post', `${place}/invite`, { user_id: alice.userId }],
    ['post', `${place}/kick`, { user_id: alice.userId }],
    ['post', `${place}/ban`, { user_id: alice.userId }],
    ['post', `${place}/unban`, { user_id: alice.userId }],
    ['post', `${place}/upgrade`, { new_version: '12' }],
    ['post', `${place}/receipt/m.read/${event}`, {}],
    ['post', `${place}/read_markers`, { 'm.read': `$${'x'.repeat(43)}` }],
    ['put', `${place}/typing/${encodeURIComponent(bob.userId)}`, { typing: true, timeout: 100 }],
    ['get', `${place}/state`],
    ['get', `${place}/state/m.room.name/`],
    ['get', `${place}/members`],
    ['get', `${place}/joined_members`],
    ['get', `${place}/messages?dir=b`],
    ['get', `${place}/context/${event}`],
    ['get', `${place}/event/${event}`],
    ['get', `/_matrix/client/v1/rooms/${encodeURIComponent(room)}/relations/${event}`],
    ['get', `/_matrix/client/v1/rooms/${encodeURIComponent(room)}/threads`],
    ['get', `${place}/initialSync`],
    ['post', `${place}/forget`, {}],
  ]
  for (const client of [bob, carol]) {
    for (const [method, path, body] of attempts) {
      const answer = await client.attempt(method, path, body && { body })
      expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeGreaterThanOrEqual(400)
      expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(500)
    }
  }
  // Who is invited may look at what the room is, and nobody else. Spec: Client-Server API, `GET …/hierarchy`.
  const hierarchy = `/_matrix/client/v1/rooms/${encodeURIComponent(room)}/hierarchy`
  expect((await bob.attempt('get', hierarchy)).status).toBe(200)
  expect((await carol.attempt('get', hierarchy)).status).toBe(403)
  const summary = `/_matrix/client/v1/room_summary/${encodeURIComponent(room)}`
  expect((await carol.attempt('get', summary)).status).toBeLessThan(500)
  expect((await bob.attempt('get', summary)).status).toBeLessThan(500)
  const alias = encodeURIComponent(`#alias:${other.ctx.domains.default}`)
  expect((await bob.attempt('put', `/directory/room/${alias}`, { body: { room_id: room } })).status).toBeLessThan(500)
  const list = `/directory/list/room/${encodeURIComponent(room)}`
  expect((await bob.attempt('put', list, { body: { visibility: 'public' } })).status).toBeLessThan(500)
  expect((await bob.attempt('post', '/publicRooms', { body: {} })).status).toBe(200)
  expect((await bob.get('/joined_rooms')).joined_rooms).toEqual([])
  await bob.post(`${place}/join`)
  await seesMembership(alice, room, bob.userId, 'join')
})

test('invites and knocks are told by every process of a deployment', async () => {
  await using one = await startFederatedServer()
  await using other = await startFederatedServer({}, { redis: true })
  await using second = await startFederatedServer({}, { like: other })
  const alice = await one.register('alice')
  const bob = await other.register('bob')
  const bobThere = second.adopt(bob)
  const room = await alice.createRoom({
    preset: 'private_chat',
    initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
  })
  const { next_batch: since } = await bobThere.sync()
  await bob.post(`/knock/${encodeURIComponent(room)}?via=${via(one)}`)
  await knocked(bobThere, room)
  await bobThere.leave(room)
  await leftBy(bob, room, since)
  await alice.invite(room, bob.userId)
  await invited(bobThere, room)
  await invited(bob, room)
  await bobThere.join(room)
  await seesMembership(bob, room, bob.userId, 'join')
  await seesMembership(alice, room, bob.userId, 'join')
})
