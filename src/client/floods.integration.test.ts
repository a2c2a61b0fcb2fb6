import { expect, test } from 'vitest'
import { startTestServer, type TestClient } from '../testing/index.ts'

test('D02: floods of rooms, joins, knocks, invites and reports are told when to come again', async () => {
  const few = { per_second: 0.01, burst_count: 3 }
  const many = { per_second: 1000, burst_count: 1000 }
  const kinds = { room_creation: few, join_local: few, invite_issuer: few, reports: few, invite_room: many }
  await using server = await startTestServer({
    config: { rate_limits: { enabled: true, registration: many, login_address: many, login_account: many, ...kinds } },
  })
  const [alice, bob, carol] = [
    await server.register('alice'),
    await server.register('bob'),
    await server.register('carol'),
  ]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const place = encodeURIComponent(room)
  const floods: [client: typeof alice, path: string, body: object][] = [
    [alice, '/createRoom', {}],
    [bob, `/join/${place}`, {}],
    [carol, `/knock/${place}`, {}],
    [alice, `/rooms/${place}/invite`, { user_id: carol.userId }],
    [bob, `/rooms/${place}/report`, { reason: 'x' }],
  ]
  for (const [client, path, body] of floods) {
    const answers = []
    for (let time = 0; time < 5; time++) answers.push(await client.attempt('post', path, { body }))
    const last = answers.at(-1)!
    expect([path, last.status, last.body.errcode]).toEqual([path, 429, 'M_LIMIT_EXCEEDED'])
    expect(last.body.retry_after_ms, path).toBeGreaterThan(0)
    expect(Number(last.headers.get('retry-after')), path).toBeGreaterThan(0)
  }
  // Others are not concerned.
  expect((await carol.attempt('post', '/createRoom', { body: {} })).status).toBe(200)
})

test('joins and invites are limited by the room too, invites by who is invited, and requests for keys by the device', async () => {
  const few = { per_second: 0.01, burst_count: 2 }
  const kinds = { join_room: few, invite_room: few, invite_user: few, key_requests: few }
  const many = { per_second: 1000, burst_count: 1000 }
  const freely = { registration: many, login_address: many, login_account: many, room_creation: many, message: many }
  await using server = await startTestServer({ config: { rate_limits: { enabled: true, ...freely, ...kinds } } })
  const [alice, bob, carol, dan] = (await Promise.all(
    ['alice', 'bob', 'carol', 'dan'].map((name) => server.register(name)),
  )) as [TestClient, TestClient, TestClient, TestClient]
  const statusOf = async (asked: Promise<{ status: number }>): Promise<number> => (await asked).status
  const join = (client: TestClient, room: string) =>
    statusOf(client.attempt('post', `/join/${encodeURIComponent(room)}`, { body: {} }))
  const invite = (room: string, userId: string) =>
    statusOf(alice.attempt('post', `/rooms/${encodeURIComponent(room)}/invite`, { body: { user_id: userId } }))

  const closed = await alice.createRoom()
  const open = await alice.createRoom({ preset: 'public_chat' })
  // Who may not join uses nothing up, nor who is in the room already.
  for (let time = 0; time < 3; time++) expect(await join(bob, closed)).toBe(403)
  expect([await join(bob, open), await join(bob, open), await join(carol, open)]).toEqual([200, 200, 200])
  expect(await join(dan, open)).toBe(429)
  const member = `/rooms/${encodeURIComponent(open)}/state/m.room.member/`
  const asState = { body: { membership: 'join' } }
  expect((await dan.attempt('put', member + encodeURIComponent(dan.userId), asState)).status).toBe(429)
  expect((await bob.attempt('put', member + encodeURIComponent(bob.userId), asState)).status).toBe(200)

  expect([await invite(closed, bob.userId), await invite(closed, carol.userId)]).toEqual([200, 200])
  expect(await invite(closed, dan.userId)).toBe(429)
  const another = await alice.createRoom({ invite: [bob.userId] })
  expect(await invite(another, bob.userId)).toBe(429)
  expect((await alice.attempt('post', '/createRoom', { body: { invite: [bob.userId] } })).status).toBe(429)
  const invited = { body: { membership: 'invite' } }
  const place = `/rooms/${encodeURIComponent(another)}/state/m.room.member/${encodeURIComponent(bob.userId)}`
  expect((await alice.attempt('put', place, invited)).status).toBe(429)

  const askFor = (userId: string, txn: string) =>
    statusOf(
      alice.attempt('put', `/sendToDevice/m.room_key_request/${txn}`, {
        body: { messages: { [userId]: { '*': {} } } },
      }),
    )
  expect([await askFor(bob.userId, '1'), await askFor(bob.userId, '2'), await askFor(bob.userId, '3')]).toEqual([
    200, 200, 429,
  ])
  expect(await askFor(alice.userId, '4')).toBe(200)
})

test('D05: answers are not packed, so their length tells nothing of what is in them', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const response = await fetch(`${server.url}/_matrix/client/v3/sync`, {
    headers: { authorization: `Bearer ${alice.accessToken}`, 'accept-encoding': 'gzip, br, deflate, zstd' },
  })
  expect([response.status, response.headers.get('content-encoding')]).toEqual([200, null])
})

/** How many of some requests are still open when another user, who asks after them, has an answer. */
async function openWhenAnswered(other: TestClient, requests: readonly Promise<unknown>[]): Promise<number> {
  let open = requests.length
  for (const request of requests) void request.then(() => open--)
  await other.get('/account/whoami')
  return open
}

test('D04: twenty first syncs of a user in many rooms keep nobody waiting', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const rooms = await Promise.all(Array.from({ length: 100 }, () => alice.createRoom()))
  await bob.get('/account/whoami')
  const syncs = Array.from({ length: 20 }, () => alice.sync())
  expect(await openWhenAnswered(bob, syncs)).toBeGreaterThan(0)
  for (const { rooms: told } of await Promise.all(syncs)) expect(Object.keys(told.join)).toHaveLength(rooms.length)
})

test('D07: two hundred messages at once, in one room or in many, keep nobody waiting', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const one = await alice.createRoom()
  const many = await Promise.all(Array.from({ length: 200 }, () => alice.createRoom()))
  for (const rooms of [many.map(() => one), many]) {
    await bob.get('/account/whoami')
    const sends = rooms.map((room) => alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'x' }))
    expect(await openWhenAnswered(bob, sends)).toBeGreaterThan(0)
    expect(new Set((await Promise.all(sends)).map(({ event_id: id }) => id)).size).toBe(200)
  }
})
