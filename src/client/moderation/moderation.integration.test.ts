import { expect, test } from 'vitest'
import { restrictAccount } from '../../accounts/restrict-account.ts'
import { startTestServer, type TestClient, type TestServer } from '../../testing/index.ts'

async function administrator(server: TestServer, name = 'root'): Promise<TestClient> {
  const client = await server.register(name)
  const userNid = (await server.ctx.dictionaries.findUsers([client.userId])).get(client.userId)!
  await restrictAccount(server.ctx, { userId: client.userId, userNid }, { isAdmin: true })
  return client
}

const path = (client: Pick<TestClient, 'userId'>, action: string) =>
  `/_matrix/client/v1/admin/${action}/${encodeURIComponent(client.userId)}`

test('reports are noted, and tell their sender nothing', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const { event_id: event } = await alice.send(room, 'm.room.message', { body: 'x', msgtype: 'm.text' })
  const report = (client: TestClient, of: string, body: object = { reason: 'rude' }) =>
    client.attempt('post', `/${of}`, { body })
  const ofRoom = `rooms/${encodeURIComponent(room)}/report`
  const ofEvent = `${ofRoom}/${encodeURIComponent(event)}`
  const unknownRoom = `rooms/${encodeURIComponent(`!${'x'.repeat(43)}`)}/report`
  expect((await report(bob, ofRoom)).status).toBe(200)
  expect(await report(bob, unknownRoom)).toMatchObject({ status: 200, body: {} })
  expect((await report(bob, ofRoom, {})).status).toBe(400)
  const outside = await report(bob, ofEvent)
  expect(outside).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
  await bob.join(room)
  expect((await report(bob, ofEvent, {})).status).toBe(200)
  const unknown = await report(bob, `${ofRoom}/${encodeURIComponent(`$${'x'.repeat(43)}`)}`)
  expect([unknown.status, unknown.body]).toEqual([outside.status, outside.body])
  const elsewhere = await alice.createRoom()
  const { event_id: hidden } = await alice.send(elsewhere, 'm.room.message', { body: 'x', msgtype: 'm.text' })
  expect((await report(bob, `${ofRoom}/${encodeURIComponent(hidden)}`)).body).toEqual(outside.body)
  expect((await report(bob, `users/${encodeURIComponent(alice.userId)}/report`)).status).toBe(200)
  expect((await report(bob, `users/${encodeURIComponent('@nobody:a.test')}/report`)).status).toBe(200)
  const rows = await server.ctx.database.db.selectFrom('reports').selectAll().orderBy('report').execute()
  expect(
    rows.map((row) => [row.room !== null, row.event_nid !== null, row.reported_user !== null, row.reason]),
  ).toEqual([
    [true, false, false, 'rude'],
    [true, true, false, null],
    [false, false, true, 'rude'],
  ])
})

test('who was where, for administrators and oneself', async () => {
  await using server = await startTestServer()
  const [root, alice] = [await administrator(server), await server.register('alice')]
  const whois = `/admin/whois/${encodeURIComponent(alice.userId)}`
  for (const client of [root, alice]) {
    const body = await client.get(whois)
    expect(body.user_id).toBe(alice.userId)
    const [connection] = body.devices[alice.deviceId].sessions[0].connections
    expect(connection ?? { ip: '127.0.0.1' }).toMatchObject({ ip: '127.0.0.1' })
  }
  expect((await root.get(whois)).devices[alice.deviceId].sessions[0].connections).toHaveLength(1)
  const bob = await server.register('bob')
  expect((await bob.attempt('get', whois)).status).toBe(403)
  expect((await root.attempt('get', '/admin/whois/@nobody:a.test')).status).toBe(404)
})

test('administrators suspend and lock users, but neither themselves nor one another', async () => {
  await using server = await startTestServer()
  const [root, other, alice] = [
    await administrator(server),
    await administrator(server, 'other'),
    await server.register('alice'),
  ]
  const room = await alice.createRoom()
  expect((await root.get('/capabilities')).capabilities['m.account_moderation']).toEqual({ suspend: true, lock: true })
  expect((await alice.get('/capabilities')).capabilities['m.account_moderation']).toBeUndefined()
  expect(await root.get(path(alice, 'suspend'))).toEqual({ suspended: false })
  expect(await root.put(path(alice, 'suspend'), { suspended: true })).toEqual({ suspended: true })
  expect(await root.get(path(alice, 'suspend'))).toEqual({ suspended: true })
  const send = `/rooms/${encodeURIComponent(room)}/send/m.room.message/1`
  const refused = await alice.attempt('put', send, { body: { body: 'x', msgtype: 'm.text' } })
  expect(refused.body.errcode).toBe('M_USER_SUSPENDED')
  await root.put(path(alice, 'suspend'), { suspended: false })
  await root.put(path(alice, 'lock'), { locked: true })
  expect((await alice.attempt('get', '/joined_rooms')).body.errcode).toBe('M_USER_LOCKED')
  expect(await root.put(path(alice, 'lock'), { locked: false })).toEqual({ locked: false })
  await alice.get('/joined_rooms')

  const attempts: [TestClient, 'get' | 'put', string, number][] = [
    [alice, 'get', path(root, 'lock'), 403],
    [alice, 'get', path({ userId: '@nobody:a.test' }, 'lock'), 403],
    [root, 'put', path(root, 'lock'), 403],
    [root, 'put', path(other, 'lock'), 403],
    [root, 'get', path(other, 'lock'), 403],
    [root, 'get', path({ userId: '@nobody:a.test' }, 'lock'), 404],
    [root, 'get', path({ userId: '@user:elsewhere.test' }, 'lock'), 400],
  ]
  for (const [client, method, where, status] of attempts) {
    const answer = await client.attempt(method, where, method === 'put' ? { body: { locked: true } } : {})
    expect(answer.status, `${method} ${where}`).toBe(status)
  }
})
