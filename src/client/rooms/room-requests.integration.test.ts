import { expect, test } from 'vitest'
import { startTestServer } from '../../testing/index.ts'

const message = (body: string) => ({ msgtype: 'm.text', body })

test('what is wrong in itself is a bad request, what the sender may not do is forbidden', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const create = (body: object) => alice.attempt('post', '/createRoom', { body: { room_version: '12', ...body } })
  const answers = await Promise.all([
    create({ power_level_content_override: { users: { [alice.userId]: 100 } } }),
    create({ creation_content: { additional_creators: 'nobody' } }),
    create({ creation_content: { additional_creators: [1] } }),
    create({ creation_content: { additional_creators: ['@nobody'] } }),
  ])
  expect(answers.map(({ status, body }) => [status, body.errcode])).toEqual(
    Array.from({ length: 4 }, () => [400, 'M_BAD_JSON']),
  )
  const room = await alice.createRoom({ room_version: '12', preset: 'public_chat' })
  const put = (client: typeof bob, type: string, content: object) =>
    client.attempt('put', `/rooms/${encodeURIComponent(room)}/state/${type}/`, { body: content })
  const withCreator = await put(alice, 'm.room.power_levels', { users: { [alice.userId]: 100 } })
  expect([withCreator.status, withCreator.body.errcode]).toEqual([400, 'M_BAD_JSON'])
  expect((await put(alice, 'm.room.create', {})).status).toBe(400)
  await bob.join(room)
  expect((await put(bob, 'm.room.power_levels', {})).status).toBe(403)
})

test('a member who joins again by a state event keeps the join, whoever it says has vouched', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const open = await alice.createRoom({ preset: 'public_chat' })
  const content = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: open }] }
  const room = await alice.createRoom({ initial_state: [{ type: 'm.room.join_rules', content }] })
  await bob.join(open)
  await bob.join(room)
  const member = `/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`
  const again = { membership: 'join', displayname: 'Bobby', join_authorised_via_users_server: 'unused' }
  expect((await bob.attempt('put', member, { body: again })).status).toBe(200)
  expect((await bob.attempt('get', member)).body.displayname).toBe('Bobby')
})

test('a page of messages: forwards unless told otherwise, and with an end where filters cut it short', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  await alice.send(room, 'm.room.message', message('one'))
  const page = (query: { [name: string]: string | number }) =>
    alice.attempt('get', `/rooms/${encodeURIComponent(room)}/messages`, { query })
  const forwards = await page({ limit: 1 })
  expect(forwards.body.chunk[0].type).toBe('m.room.create')
  const whole = await page({ dir: 'b', limit: 100 })
  expect(whole.body.chunk.at(-1).type).toBe('m.room.create')
  expect(whole.body).not.toHaveProperty('end')
  const filter = JSON.stringify({ types: ['m.room.message'] })
  const filtered = await page({ dir: 'b', filter })
  expect(filtered.body.chunk).toHaveLength(1)
  const next = await page({ dir: 'b', filter, from: filtered.body.end })
  expect(next.body.chunk).toEqual([])
  expect(next.body).not.toHaveProperty('end')
})

test('members at the beginning of a room are its first ones', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const at = (await alice.sync()).rooms.join[room].timeline.prev_batch
  await bob.join(room)
  const where = `/rooms/${encodeURIComponent(room)}/members`
  const members = (await alice.attempt('get', where, { query: { at } })).body.chunk
  expect(members.map((event: { state_key: string }) => event.state_key)).toEqual([alice.userId])
  const joined = (await alice.attempt('get', `/rooms/${encodeURIComponent(room)}/joined_members`)).body.joined
  expect(joined[bob.userId]).toMatchObject({ avatar_url: null })
})

test('rooms come and go: a room joined again begins anew, one that was left and forgotten is told of once', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const { next_batch: before } = await bob.sync()
  await bob.join(room)
  const joined = await bob.sync({ since: before })
  expect(joined.rooms.join[room].timeline.limited).toBe(true)
  await bob.membership(room, 'leave')
  await bob.membership(room, 'forget')
  const left = await bob.sync({ since: joined.next_batch })
  expect(Object.keys(left.rooms.leave)).toEqual([room])
  expect((await bob.sync({ filter: JSON.stringify({ room: { include_leave: true } }) })).rooms).toBeUndefined()
})

test('an event that this server has not seen may be redacted by who may redact anything', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
  await bob.join(room)
  const redact = (client: typeof bob, txn: string) =>
    client.attempt(
      'put',
      `/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(`$${'A'.repeat(43)}`)}/${txn}`,
      {
        body: {},
      },
    )
  expect((await redact(alice, '1')).status).toBe(200)
  expect((await redact(bob, '2')).status).toBe(404)
})

test('the predecessor names its last event in rooms before version 12 only', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const upgradeTo = async (version: string) => {
    const old = await alice.createRoom({ room_version: '11' })
    const body = { new_version: version }
    const { replacement_room: room } = (
      await alice.attempt('post', `/rooms/${encodeURIComponent(old)}/upgrade`, { body })
    ).body
    const create = await alice.attempt('get', `/rooms/${encodeURIComponent(room)}/state/m.room.create/`)
    return Object.keys(create.body.predecessor).sort()
  }
  expect(await upgradeTo('11')).toEqual(['event_id', 'room_id'])
  expect(await upgradeTo('12')).toEqual(['room_id'])
})
