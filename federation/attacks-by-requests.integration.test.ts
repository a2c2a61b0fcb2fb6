import { expect, test } from 'vitest'
import type { JsonObject } from '../src/matrix/json.ts'
import { publishedKeys } from '../src/matrix/published-keys.ts'
import { signingKeyFromSeed, signJson } from '../src/matrix/signatures.ts'
import { createFakeClock } from '../src/testing/fakes.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { attackedRoom, joinHostile } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { sees } from './two-servers.fixtures.ts'

const v1 = '/_matrix/federation/v1'
const unknown = `$${'x'.repeat(43)}`
const enc = encodeURIComponent

/** Everything that other servers may ask for or send, about a room, an event and a user. */
function operations(roomId: string, eventId: string, userId: string): [method: string, uri: string, body?: object][] {
  const [room, event, user] = [enc(roomId), enc(eventId), enc(userId)]
  return [
    ['PUT', `${v1}/send/one`, { pdus: [] }],
    ...aboutRoom(roomId, eventId, userId),
    ['GET', `${v1}/event/${event}`],
    ['GET', `${v1}/hierarchy/${room}`],
    ['GET', `${v1}/query/profile?user_id=${user}`],
    ['GET', `${v1}/query/directory?room_alias=${enc('#a:a.test')}`],
    ['GET', `${v1}/publicRooms`],
    ['POST', `${v1}/publicRooms`, {}],
    ['GET', `${v1}/media/download/one`],
    ['GET', `${v1}/media/thumbnail/one?width=32&height=32`],
    ['GET', `${v1}/user/devices/${user}`],
    ['POST', `${v1}/user/keys/query`, { device_keys: {} }],
    ['POST', `${v1}/user/keys/claim`, { one_time_keys: {} }],
  ]
}

/** Those that a room's access control list protects. */
function aboutRoom(roomId: string, eventId: string, userId: string): [method: string, uri: string, body?: object][] {
  const [room, event, user] = [enc(roomId), enc(eventId), enc(userId)]
  return [
    ['GET', `${v1}/make_join/${room}/${user}?ver=12`],
    ['GET', `${v1}/make_leave/${room}/${user}`],
    ['GET', `${v1}/make_knock/${room}/${user}?ver=12`],
    ['PUT', `${v1}/send_join/${room}/${event}`, {}],
    ['PUT', `/_matrix/federation/v2/send_join/${room}/${event}`, {}],
    ['PUT', `${v1}/send_leave/${room}/${event}`, {}],
    ['PUT', `/_matrix/federation/v2/send_leave/${room}/${event}`, {}],
    ['PUT', `${v1}/send_knock/${room}/${event}`, {}],
    ['GET', `${v1}/state/${room}?event_id=${event}`],
    ['GET', `${v1}/state_ids/${room}?event_id=${event}`],
    ['GET', `${v1}/event_auth/${room}/${event}`],
    ['GET', `${v1}/backfill/${room}?v=${event}&limit=10`],
    ['POST', `${v1}/get_missing_events/${room}`, { latest_events: [eventId], earliest_events: [] }],
    ['GET', `${v1}/timestamp_to_event/${room}?ts=0&dir=f`],
  ]
}

test('F01, F02, F04: requests without a signature, for others, or changed after signing', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const userId = `@mallory:${hostile.name}`
  for (const [method, uri, body] of operations('!r:a.test', unknown, userId)) {
    const bare = await home.request(method, uri, body && { body })
    expect([uri, bare.status, bare.body.errcode]).toEqual([uri, 401, 'M_UNAUTHORIZED'])
    const forOthers = await hostile.request(home, method, uri, { ...(body && { body }), destination: 'other.test' })
    expect([uri, forOthers.status]).toEqual([uri, 401])
    if (body) {
      const changed = await hostile.request(home, method, uri, { body, sent: JSON.stringify({ ...body, more: 1 }) })
      expect([uri, changed.status]).toEqual([uri, 401])
    }
    const stranger = signingKeyFromSeed('hostile', Buffer.alloc(32, 1))
    const byAnother = await hostile.request(home, method, uri, { ...(body && { body }), key: stranger })
    expect([uri, byAnother.status]).toEqual([uri, 401])
  }
  const uri = `${v1}/query/profile?user_id=${enc(userId)}`
  const signed = (method: string, signedUri: string) =>
    signJson(
      { method, uri: signedUri, origin: hostile.name, destination: home.ctx.domains.default },
      hostile.name,
      hostile.key,
    ).signatures[hostile.name]![hostile.key.keyId]!
  const ask = (sig: string, fields = '') =>
    home.request('GET', uri, {
      headers: {
        authorization: `X-Matrix origin="${hostile.name}",destination="${home.ctx.domains.default}",key="${hostile.key.keyId}",sig="${sig}"${fields}`,
      },
    })
  expect((await ask(signed('GET', uri))).status).toBe(404)
  expect((await ask(signed('POST', uri))).status).toBe(401)
  expect((await ask(signed('GET', `${uri}&field=displayname`))).status).toBe(401)
  expect((await ask(signed('GET', uri), ',origin="other.test"')).status).toBe(401)
  expect((await ask('')).status).toBe(401)
  expect((await home.request('GET', '/_matrix/client/versions')).status).toBe(200)
})

/** Whether a request that is signed with a key is taken. */
const isTaken = async (home: TestServer, hostile: Awaited<ReturnType<typeof startHostileServer>>): Promise<boolean> =>
  (await hostile.request(home, 'GET', `${v1}/publicRooms`)).status === 200

test('F05: keys that are given up, and such as are said to be good for ten years', async () => {
  const clock = createFakeClock(Date.now())
  await using home = await startFederatedServer({}, { clock })
  await using hostile = await startHostileServer()
  const [before, after] = [hostile.key, signingKeyFromSeed('later', Buffer.alloc(32, 3))]
  const tenYears = 10 * 365 * 24 * 3_600_000
  let keys = signJson(
    { ...publishedKeys(hostile.name, [before], clock.now()), valid_until_ts: clock.now() + tenYears, signatures: {} },
    hostile.name,
    before,
  ) as JsonObject
  hostile.answer = ({ path }) => (path === '/_matrix/key/v2/server' ? { body: keys } : undefined)
  expect(await isTaken(home, hostile)).toBe(true)
  keys = signJson(
    {
      ...publishedKeys(hostile.name, [after], clock.now()),
      old_verify_keys: {
        [before.keyId]: { key: before.publicKey.toString('base64').replace(/=+$/, ''), expired_ts: clock.now() },
      },
      valid_until_ts: clock.now() + tenYears,
      signatures: {},
    },
    hostile.name,
    after,
  ) as JsonObject
  clock.advance(8 * 24 * 3_600_000)
  expect(await isTaken(home, hostile)).toBe(false)
  hostile.key = after
  expect(await isTaken(home, hostile)).toBe(true)
})

test('F05: events signed later than the key was good for', async () => {
  await using scene = await attackedRoom({ room_version: '6' })
  const { room, hostile, home } = scene
  const late = room.build({ originServerTs: Date.now() + 8 * 24 * 3_600_000 })
  expect((await hostile.send(home, [late.pdu]))[late.eventId]).toEqual({ error: expect.stringContaining('signature') })
  expect(await scene.isSeen(late.eventId)).toBe(false)
  await scene.stillWorks()
})

test('F07: keys of another server, unsigned or signed by a wrong key', async () => {
  const clock = createFakeClock(Date.now())
  await using home = await startFederatedServer({}, { clock })
  await using hostile = await startHostileServer()
  const good = publishedKeys(hostile.name, [hostile.key], Date.now())
  const other = signingKeyFromSeed('hostile', Buffer.alloc(32, 1))
  const stored = async () =>
    (await home.ctx.database.db.selectFrom('server_keys').select(['server_name', 'public_key']).execute()).map(
      ({ server_name: server, public_key: key }) => [server, Buffer.from(key).toString('hex')],
    )
  const bad: (JsonObject | string)[] = [
    publishedKeys('other.test', [hostile.key], Date.now()),
    { ...good, signatures: {} },
    { ...good, signatures: publishedKeys(hostile.name, [other], Date.now()).signatures! },
    { ...good, valid_until_ts: '1' },
    { ...good, verify_keys: [] },
    { ...good, verify_keys: { [hostile.key.keyId]: { key: 'short' } } },
    '[]',
    'x',
  ]
  for (const answer of bad) {
    hostile.answer = ({ path }) =>
      path !== '/_matrix/key/v2/server' ? undefined : typeof answer === 'string' ? { text: answer } : { body: answer }
    expect(await isTaken(home, hostile), JSON.stringify(answer)).toBe(false)
    expect(await stored()).toEqual([])
    clock.advance(120_000)
  }
  hostile.answer = () => undefined
  expect(await isTaken(home, hostile)).toBe(true)
  const before = await stored()
  for (const answer of bad) {
    hostile.answer = ({ path }) =>
      path !== '/_matrix/key/v2/server' ? undefined : typeof answer === 'string' ? { text: answer } : { body: answer }
    clock.advance(120_000)
    hostile.key = signingKeyFromSeed('never-heard-of', Buffer.alloc(32, 5))
    expect(await isTaken(home, hostile)).toBe(false)
    hostile.key = signingKeyFromSeed('hostile', Buffer.alloc(32, 7))
    expect(await isTaken(home, hostile)).toBe(true)
    expect(await stored()).toEqual(before)
  }
})

test('F38: a server that a room’s access control list denies', async () => {
  await using scene = await attackedRoom()
  const { room, home, hostile, alice, bob, roomId } = scene
  await room.push(home, room.build({ content: { msgtype: 'm.text', body: 'before' } }))
  await sees(bob, roomId, 'before')
  const { next_batch: since } = await alice.sync()
  // The honest server has the same address, and is denied with it.
  await alice.sendState(roomId, 'm.room.server_acl', { allow: ['*'], deny: ['127.0.0.1'], allow_ip_literals: true })
  const last = room.ends[0]!
  for (const [method, uri, body] of aboutRoom(roomId, last.eventId, room.user())) {
    const { status, body: answer } = await hostile.request(home, method, uri, body && { body })
    expect([uri, status, answer.errcode]).toEqual([uri, 403, 'M_FORBIDDEN'])
  }
  const event = room.build()
  const edus = [
    { edu_type: 'm.typing', content: { room_id: roomId, user_id: room.user(), typing: true } },
    {
      edu_type: 'm.receipt',
      content: { [roomId]: { 'm.read': { [room.user()]: { event_ids: [last.eventId], data: { ts: 1 } } } } },
    },
  ]
  expect(await hostile.send(home, [event.pdu], edus)).toEqual({ [event.eventId]: { error: expect.any(String) } })
  expect(await scene.isSeen(event.eventId)).toBe(false)
  const sync = await alice.sync({ since, timeout: 0 })
  expect(sync.rooms?.join?.[roomId]?.ephemeral?.events ?? []).toEqual([])
  await scene.stillWorks(roomId, [bob])
})

test('F38: invites into a room that denies the server who gives them, by both operations', async () => {
  await using scene = await attackedRoom({ room_version: '2' })
  const { room, home, hostile, alice, roomId } = scene
  const erin = await home.register('erin')
  await alice.sendState(roomId, 'm.room.server_acl', { allow: ['*'], deny: ['127.0.0.1'], allow_ip_literals: true })
  const event = room.build({ type: 'm.room.member', stateKey: erin.userId, content: { membership: 'invite' } })
  const place = `${enc(roomId)}/${enc(event.eventId)}`
  const unsigned = { invite_room_state: [] }
  for (const [uri, body] of [
    [`${v1}/invite/${place}`, { ...event.pdu, unsigned }],
    [`/_matrix/federation/v2/invite/${place}`, { event: event.pdu, room_version: '2', ...unsigned }],
  ] as const) {
    const answer = await hostile.request(home, 'PUT', uri, { body })
    expect([uri, answer.status, answer.body.errcode]).toEqual([uri, 403, 'M_FORBIDDEN'])
    expect(JSON.stringify(answer.body)).not.toContain('signatures')
  }
  expect((await erin.sync()).rooms?.invite ?? {}).toEqual({})
})

test('F41, F43: events of a room that the server is not in, as if they did not exist', async () => {
  await using scene = await attackedRoom()
  const { room, home, hostile, alice, roomId } = scene
  const secret = await alice.createRoom({ preset: 'private_chat' })
  const { event_id: hidden } = await alice.send(secret, 'm.room.message', { msgtype: 'm.text', body: 'secret' })
  for (const of of [roomId, secret]) {
    const asked = (eventId: string) =>
      [...aboutRoom(of, eventId, room.user()), ['GET', `${v1}/event/${enc(eventId)}`] as [string, string]].filter(
        ([, uri]) => uri.includes(enc(eventId)) || uri.includes('get_missing_events'),
      )
    for (const [index, [method, uri, body]] of asked(hidden).entries()) {
      const one = await hostile.request(home, method, uri, body && { body })
      const [, otherUri, otherBody] = asked(unknown)[index]!
      const other = await hostile.request(home, method, otherUri, otherBody && { body: otherBody })
      const plain = ({ origin_server_ts: _ts, ...rest }: JsonObject) => JSON.stringify(rest)
      expect([uri, one.status, plain(one.body)]).toEqual([uri, other.status, plain(other.body)])
      expect(JSON.stringify(one.body)).not.toContain('secret')
    }
  }
  const paths = (eventId: string) => {
    const [place, event] = [enc(roomId), enc(eventId)]
    return [
      ['get', `/rooms/${place}/context/${event}`],
      ['get', `/rooms/${place}/event/${event}`],
      ['get', `/_matrix/client/v1/rooms/${place}/relations/${event}`],
      ['post', `/rooms/${place}/report/${event}`],
    ] as const
  }
  for (const [index, [method, path]] of paths(hidden).entries()) {
    const ask = (at: string) => scene.bob.attempt(method, at, method === 'post' ? { body: { reason: 'x' } } : {})
    const [one, other] = [await ask(path), await ask(paths(unknown)[index]![1])]
    expect([path, one.status, one.body]).toEqual([path, other.status, other.body])
  }
  const limits = {
    latest_events: [room.ends[0]!.eventId],
    earliest_events: [] as string[],
    limit: 1_000_000,
    min_depth: -1,
  }
  const uri = `${v1}/get_missing_events/${enc(roomId)}`
  const many = Array.from({ length: 10_000 }, (_, index) => `$${String(index).padStart(43, 'x')}`)
  for (const body of [limits, { ...limits, latest_events: many }, { ...limits, earliest_events: many }]) {
    const { status, body: answer } = await hostile.request(home, 'POST', uri, { body })
    expect(status).toBe(200)
    expect(answer.events.length).toBeLessThanOrEqual(20)
  }
  await scene.stillWorks()
})

test('F44: users of others are not talked about, whether they are known or not', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, carol } = scene
  for (const userId of [carol.userId, '@nobody:third.test']) {
    const devices = await hostile.request(home, 'GET', `${v1}/user/devices/${enc(userId)}`)
    const profile = await hostile.request(home, 'GET', `${v1}/query/profile?user_id=${enc(userId)}`)
    const body = { device_keys: { [userId]: [] } }
    const keys = await hostile.request(home, 'POST', `${v1}/user/keys/query`, { body })
    const claim = { one_time_keys: { [userId]: { [carol.deviceId]: 'signed_curve25519' } } }
    const claimed = await hostile.request(home, 'POST', `${v1}/user/keys/claim`, { body: claim })
    expect([devices.status, profile.status]).toEqual([404, 404])
    expect(JSON.stringify([keys.body, claimed.body])).not.toContain(userId)
  }
  await scene.stillWorks()
})

test('F55: a transaction that comes again, at once and after a restart', async () => {
  const first = await startFederatedServer({}, { kept: true })
  await using hostile = await startHostileServer()
  const alice = await first.register('alice')
  const roomId = await alice.createRoom({ preset: 'public_chat' })
  const room = await joinHostile(hostile, first, roomId)
  const event = room.build({ content: { msgtype: 'm.text', body: 'once' } })
  const uri = `${v1}/send/again`
  const body = { origin: hostile.name, origin_server_ts: 1, pdus: [event.pdu], edus: [] }
  const send = (to: TestServer) => hostile.request(to, 'PUT', uri, { body })
  const answers = await Promise.all(Array.from({ length: 10 }, () => send(first)))
  await first.close()
  const port = Number(new URL(first.url).port)
  await using second = await startFederatedServer({}, { like: first, port })
  answers.push(await send(second))
  expect(new Set(answers.map(({ status, body: answer }) => JSON.stringify([status, answer]))).size).toBe(1)
  expect(answers[0]!.body).toEqual({ pdus: { [event.eventId]: {} } })
  const { chunk } = await second.adopt(alice).get(`/rooms/${enc(roomId)}/messages`, { dir: 'b', limit: 100 })
  expect(chunk.filter(({ event_id: id }: JsonObject) => id === event.eventId)).toHaveLength(1)
})

test('D01: a flood from one server is stopped, and no other is', async () => {
  const rates = { enabled: true, federation: { per_second: 0.001, burst_count: 5 } }
  await using home = await startFederatedServer({}, { config: { rate_limits: rates } })
  await using hostile = await startHostileServer()
  await using other = await startHostileServer()
  const floods: [string, string, object?][] = [
    ['PUT', `${v1}/send/one`, { pdus: [] }],
    ['POST', `${v1}/user/keys/claim`, { one_time_keys: {} }],
    ['GET', `${v1}/make_join/${enc('!r:a.test')}/${enc(`@mallory:${hostile.name}`)}?ver=12`],
  ]
  const statuses: number[] = []
  for (let round = 0; round < 4; round++) {
    for (const [method, uri, body] of floods) {
      const answer = await hostile.request(home, method, uri, body && { body })
      statuses.push(answer.status)
      if (answer.status === 429) {
        expect(answer.body).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) })
      }
    }
  }
  expect(statuses.slice(0, 5).includes(429)).toBe(false)
  expect(new Set(statuses.slice(5))).toEqual(new Set([429]))
  expect(await isTaken(home, other)).toBe(true)
})
