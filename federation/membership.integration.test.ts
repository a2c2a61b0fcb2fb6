import { expect, test } from 'vitest'
import type { RoomId } from '../src/matrix/ids.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { hostRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { invited, knocked, leftBy, pair, sees, seesMembership, synced, via } from './two-servers.fixtures.ts'

test.each(['1', '6', '10', '11', '12'])(
  'version %s: an invite is shown, refused, given again and accepted',
  async (version) => {
    await using servers = await pair()
    const { alice, bob } = servers
    const room = await alice.createRoom({ preset: 'private_chat', room_version: version, name: 'Cabinet' })
    const start = (await bob.sync()).next_batch
    await alice.invite(room, bob.userId)
    const shown = await invited(bob, room)
    expect(shown.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['m.room.create', 'm.room.name', 'm.room.member']),
    )
    expect(shown.find(({ state_key: key }) => key === bob.userId)).toMatchObject({
      sender: alice.userId,
      content: { membership: 'invite' },
    })
    // The same from the database.
    await bob.leave(room)
    const left = await leftBy(bob, room, start)
    expect(left.timeline.events).toMatchObject([{ state_key: bob.userId, content: { membership: 'leave' } }])
    await seesMembership(alice, room, bob.userId, 'leave')
    expect((await bob.sync()).rooms?.invite ?? {}).toEqual({})

    await alice.invite(room, bob.userId)
    await invited(bob, room)
    await bob.join(room)
    await seesMembership(alice, room, bob.userId, 'join')
    await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'welcome' })
    await sees(bob, room, 'welcome')
    await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'thanks' })
    await sees(alice, room, 'thanks')
  },
)

test('an invite by creating a room, for a direct conversation', async () => {
  await using servers = await pair()
  const { alice, bob } = servers
  const room = await alice.createRoom({ preset: 'trusted_private_chat', invite: [bob.userId], is_direct: true })
  const shown = await invited(bob, room)
  expect(shown.find(({ state_key: key }) => key === bob.userId).content).toMatchObject({ is_direct: true })
  await bob.join(room)
  const join = await seesMembership(bob, room, bob.userId, 'join')
  expect(join.unsigned.prev_content).toMatchObject({ is_direct: true, membership: 'invite' })
})

test('an invite that is taken back is gone, and who was let in and removed can come again', async () => {
  await using servers = await pair()
  const { alice, bob } = servers
  const room = await alice.createRoom({ preset: 'private_chat' })
  await alice.invite(room, bob.userId)
  await invited(bob, room)
  const { next_batch: since } = await bob.sync()
  await alice.membership(room, 'kick', { user_id: bob.userId })
  const left = await leftBy(bob, room, since)
  expect(left.timeline.events).toMatchObject([{ sender: alice.userId, content: { membership: 'leave' } }])
  expect((await bob.attempt('post', `/join/${encodeURIComponent(room)}`, { body: {} })).status).toBe(403)

  await alice.invite(room, bob.userId)
  await invited(bob, room)
  await bob.join(room)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'in' })
  await sees(alice, room, 'in')
  await bob.leave(room)
  await seesMembership(alice, room, bob.userId, 'leave')
  await alice.sendState(room, 'm.room.name', { name: 'Later' })
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'without bob' })
  await alice.invite(room, bob.userId)
  const again = await invited(bob, room)
  expect(again.find(({ type }) => type === 'm.room.name').content).toEqual({ name: 'Later' })
  await bob.join(room)
  expect(await bob.getState(room, 'm.room.name')).toEqual({ name: 'Later' })
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'back' })
  await sees(alice, room, 'back')
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'good' })
  await sees(bob, room, 'good')

  await alice.membership(room, 'ban', { user_id: bob.userId })
  await synced(bob, (sync) => (sync.rooms?.join?.[room] ? undefined : true))
  expect((await bob.attempt('post', `/join/${encodeURIComponent(room)}`, { body: {} })).status).toBe(403)
  await alice.membership(room, 'unban', { user_id: bob.userId })
  await alice.invite(room, bob.userId)
  await invited(bob, room)
  await bob.join(room)
  await seesMembership(alice, room, bob.userId, 'join')
})

test('an invite is refused also while nobody of the room can be reached', async () => {
  await using other = await startFederatedServer()
  const bob = await other.register('bob')
  let room: RoomId
  {
    await using one = await startFederatedServer()
    const alice = await one.register('alice')
    room = await alice.createRoom({ preset: 'private_chat' })
    await alice.invite(room, bob.userId)
    await invited(bob, room)
  }
  const { next_batch: since } = await bob.sync()
  await bob.leave(room)
  expect((await leftBy(bob, room, since)).timeline.events).toMatchObject([{ content: { membership: 'leave' } }])
  await bob.membership(room, 'forget')
})

test('an invite is refused where its room is empty', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'private_chat' })
  await alice.invite(room, bob.userId)
  await invited(bob, room)
  await alice.leave(room)
  await bob.leave(room)
  const hot = await one.ctx.hotRooms.get(room)
  await one.ctx.hotRooms.load(hot!, [['m.room.member', bob.userId]])
  expect(hot!.get('m.room.member', bob.userId)?.pdu.content.membership).toBe('leave')
})

test.each(['7', '10', '12'])(
  'version %s: a knock is shown, refused, repeated, answered by an invite and accepted',
  async (version) => {
    await using servers = await pair()
    const { one, alice, bob } = servers
    const room = await alice.createRoom({
      preset: 'private_chat',
      room_version: version,
      name: 'Office',
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    })
    const knock = `/knock/${encodeURIComponent(room)}?via=${via(one)}`
    await bob.post(knock, { reason: 'please' })
    const shown = await knocked(bob, room)
    expect(shown.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['m.room.create', 'm.room.name', 'm.room.member']),
    )
    await seesMembership(alice, room, bob.userId, 'knock')
    await bob.post(knock, { reason: 'pretty please' })
    const { next_batch: since } = await bob.sync()
    await alice.membership(room, 'kick', { user_id: bob.userId })
    await leftBy(bob, room, since)
    await bob.post(knock)
    await knocked(bob, room)
    const before = (await bob.sync()).next_batch
    await bob.leave(room)
    await leftBy(bob, room, before)
    await seesMembership(alice, room, bob.userId, 'leave')
    await bob.post(knock)
    await alice.invite(room, bob.userId)
    await invited(bob, room)
    expect((await bob.attempt('post', knock, { body: {} })).status).toBe(403)
    await bob.join(room)
    await seesMembership(alice, room, bob.userId, 'join')
  },
)

test('a knock is refused where the room has no such rule, and a version that is too old', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  for (const version of ['6', '11']) {
    const room = await alice.createRoom({ preset: 'private_chat', room_version: version })
    const answer = await bob.attempt('post', `/knock/${encodeURIComponent(room)}?via=${via(one)}`, { body: {} })
    expect(answer.status).toBe(403)
  }
  const unknown = await bob.attempt('post', `/knock/${encodeURIComponent('!none:example.org')}`, { body: {} })
  expect(unknown.status).toBe(404)
})

test.each(['8', '10', '12'])('version %s: a restricted room lets in who is in the other room', async (version) => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const space = await alice.createRoom({ preset: 'public_chat', room_version: version })
  const room = await alice.createRoom({
    preset: 'private_chat',
    room_version: version,
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: {
          join_rule: version === '8' ? 'restricted' : 'knock_restricted',
          allow: [{ type: 'm.room_membership', room_id: space }],
        },
      },
    ],
  })
  const join = `/join/${encodeURIComponent(room)}?server_name=${via(one)}`
  const refused = await bob.attempt('post', join, { body: {} })
  expect(refused).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  await bob.post(`/join/${encodeURIComponent(space)}?via=${via(one)}`)
  await bob.post(join)
  const { content } = await seesMembership(alice, room, bob.userId, 'join')
  expect(content.join_authorised_via_users_server).toBe(alice.userId)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'let in' })
  await sees(alice, room, 'let in')
})

test('a server that may not let anybody in asks another one to', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const carol = await other.register('carol')
  const space = await alice.createRoom({ preset: 'public_chat' })
  const room = await alice.createRoom({
    preset: 'private_chat',
    power_level_content_override: { invite: 50 },
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
      },
    ],
  })
  for (const client of [bob, carol]) await client.post(`/join/${encodeURIComponent(space)}?via=${via(one)}`)
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  // The server is in the room, but nobody on it may invite.
  await carol.post(`/join/${encodeURIComponent(room)}`)
  await seesMembership(alice, room, carol.userId, 'join')
  await seesMembership(bob, room, carol.userId, 'join')
})

test('a room is upgraded under the feet of another server', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const { replacement_room: next } = await alice.post(`/rooms/${encodeURIComponent(room)}/upgrade`, {
    new_version: '12',
  })
  await synced(bob, (sync) =>
    (sync.rooms?.join?.[room]?.timeline?.events ?? []).find(({ type }: Answer) => type === 'm.room.tombstone'),
  )
  await bob.post(`/join/${encodeURIComponent(next)}?via=${via(one)}`)
  expect((await bob.getState(next, 'm.room.create')).predecessor.room_id).toBe(room)
})

test('the servers that are named are asked in turn, for a room or an alias, also to vouch', async () => {
  await using one = await startFederatedServer()
  await using two = await startFederatedServer()
  await using three = await startFederatedServer()
  const alice = await one.register('alice')
  const bob = await two.register('bob')
  const carol = await three.register('carol')
  const space = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'space' })
  const room = await alice.createRoom({
    preset: 'private_chat',
    room_version: '10',
    power_level_content_override: { invite: 100 },
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
      },
    ],
  })
  const join = `/join/${encodeURIComponent(room)}`
  await bob.join(`#space:${one.ctx.domains.default}`)
  await bob.post(`${join}?via=${via(one)}`)
  await carol.post(`/join/${encodeURIComponent(space)}?via=127.0.0.1:1&via=${via(two)}`)
  // The second server has nobody who may invite.
  const refused = await carol.attempt('post', `${join}?via=${via(two)}`, { body: {} })
  expect(refused).toMatchObject({ status: 400, body: { errcode: 'M_UNABLE_TO_GRANT_JOIN' } })
  await carol.post(`${join}?server_name=${via(two)}&server_name=${via(one)}`)
  await seesMembership(bob, room, carol.userId, 'join')
  await carol.leave(room)
  await seesMembership(bob, room, carol.userId, 'leave')
  // And now it does not know who is in the space.
  await bob.leave(space)
  const unknown = await carol.attempt('post', `${join}?via=${via(two)}`, { body: {} })
  expect(unknown).toMatchObject({ status: 400, body: { errcode: 'M_UNABLE_TO_AUTHORISE_JOIN' } })
  await carol.post(`${join}?via=${via(two)}&via=${via(one)}`)
  await carol.send(room, 'm.room.message', { msgtype: 'm.text', body: 'in again' })
  await sees(bob, room, 'in again')
})

test('one domain of a deployment vouches for a user of another, and both sign', async () => {
  await using both = await startFederatedServer({}, { domains: 2 })
  await using other = await startFederatedServer()
  const [first, second] = both.ctx.domains.all
  const alice = await both.register('alice', { domain: first! })
  const anna = await both.register('anna', { domain: second! })
  const bob = await other.register('bob')
  const space = await alice.createRoom({ preset: 'public_chat' })
  const room = await alice.createRoom({
    preset: 'private_chat',
    power_level_content_override: { invite: 100 },
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
      },
    ],
  })
  await bob.post(`/join/${encodeURIComponent(space)}?via=${encodeURIComponent(first!)}`)
  await bob.post(`/join/${encodeURIComponent(room)}?via=${encodeURIComponent(second!)}`)
  await anna.join(space)
  await anna.join(room)
  await seesMembership(bob, room, anna.userId, 'join')
  await anna.send(room, 'm.room.message', { msgtype: 'm.text', body: 'from the second' })
  await sees(bob, room, 'from the second')
})

test('an invite is taken back only by who gave it', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const carol = await one.register('carol')
  const room = await alice.createRoom({ preset: 'private_chat', invite: [carol.userId] })
  const open = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(open)}?via=${via(one)}`)
  await carol.join(room)
  await carol.invite(room, bob.userId)
  await invited(bob, room)
  await alice.membership(room, 'kick', { user_id: bob.userId })
  await alice.send(open, 'm.room.message', { msgtype: 'm.text', body: 'after' })
  await sees(bob, open, 'after')
  await invited(bob, room)
})

test('a second user of a server that is in the room is invited, refuses, and joins when invited again', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const carol = await other.register('carol')
  const room = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
  await invited(bob, room)
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  for (const answer of ['leave', 'join'] as const) {
    await alice.invite(room, carol.userId)
    await invited(carol, room)
    if (answer === 'leave') await carol.leave(room)
    else await carol.join(room)
    await seesMembership(alice, room, carol.userId, answer)
    await seesMembership(bob, room, carol.userId, answer)
  }
})

test('everybody leaves a room, and comes back to it', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  const join = `/join/${encodeURIComponent(room)}?via=${via(one)}&via=${via(other)}`
  await bob.post(join)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'first' })
  await sees(bob, room, 'first')
  await bob.leave(room)
  await seesMembership(alice, room, bob.userId, 'leave')
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'alone' })
  await bob.post(join)
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'again' })
  await sees(alice, room, 'again')
  await alice.leave(room)
  await seesMembership(bob, room, alice.userId, 'leave')
  await bob.sendState(room, 'm.room.topic', { topic: 'x' }).catch(() => {})
  await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'without alice' })
  await alice.post(join)
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'both' })
  await sees(bob, room, 'both')
})

test('two users of a server come into a room at the same time, neither of whom the other server knew of when it let the other in', async () => {
  await using home = await startFederatedServer()
  await using remote = await startHostileServer()
  const users = [await home.register('alice'), await home.register('bob')]
  const room = hostRoom(remote)
  const before = [...room.state.values()].map(({ pdu }) => pdu)
  let arrived = 0
  let letIn: (() => void) | undefined
  const all = new Promise<void>((resolve) => {
    letIn = resolve
  })
  remote.answer = async (asked) => {
    if (!asked.path.includes('/send_join/')) return room.answerTo(asked)
    if (++arrived === users.length) letIn!()
    await all
    return { body: { state: before, auth_chain: before, event: asked.body, members_omitted: false } }
  }
  const place = `${encodeURIComponent(room.roomId)}?via=${encodeURIComponent(remote.name)}`
  await Promise.all(users.map((user) => user.post(`/join/${place}`)))
  const { joined } = await users[0]!.get(`/rooms/${encodeURIComponent(room.roomId)}/joined_members`)
  expect(Object.keys(joined).sort()).toEqual([...users.map(({ userId }) => userId), room.user()].sort())
})

test('a join by the oldest form of the operation is answered in a pair', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  const room = await joinHostile(hostile, home, roomId, 'old', 'v1')
  expect(room.at('m.room.member', alice.userId)).toBeDefined()
  await room.push(home, room.build({ sender: room.user('old'), content: { msgtype: 'm.text', body: 'from of old' } }))
  await sees(alice, roomId, 'from of old')
})
