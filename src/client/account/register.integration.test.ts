import { describe, expect, test } from 'vitest'
import { joinRoom } from '../../rooms/join-room.ts'
import { insertRegistrationToken } from '../../storage/registration-tokens.ts'
import { type Answer, createFakeClock, startTestServer, TestClient, type TestServer } from '../../testing/index.ts'

const path = '/_matrix/client/v3/register'
const dummy = { type: 'm.login.dummy' }

function register(server: TestServer, body: object, query = {}) {
  return server.request('post', path, { body, query })
}

describe('open registration', () => {
  test('the token of a new user names them, in the domain that the host asked for', async () => {
    await using server = await startTestServer({ serverNames: ['a.test', 'b.test'] })
    const alice = await server.register('Alice')
    expect(alice.userId).toBe('@alice:a.test')
    expect(await alice.get('/account/whoami')).toEqual({
      user_id: '@alice:a.test',
      device_id: alice.deviceId,
      is_guest: false,
    })
    expect((await server.register('alice', { domain: 'b.test' })).userId).toBe('@alice:b.test')
  })

  test('the stages are told first, and the session leads through them', async () => {
    await using server = await startTestServer({
      config: { registration: { terms: { url: 'https://a.test/terms' } } },
    })
    const first = await register(server, {})
    expect(first).toMatchObject({
      status: 401,
      body: {
        flows: [{ stages: ['m.login.dummy', 'm.login.terms'] }],
        params: { 'm.login.terms': { policies: { terms_of_service: { en: { url: 'https://a.test/terms' } } } } },
      },
    })
    expect(first.body.errcode).toBeUndefined()
    const { session } = first.body
    const wanted = { username: 'alice', password: 'password of alice' }
    const second = await register(server, { ...wanted, auth: { ...dummy, session } })
    expect(second).toMatchObject({ status: 401, body: { session, completed: ['m.login.dummy'] } })
    const third = await register(server, { ...wanted, auth: { type: 'm.login.terms', session } })
    expect(third).toMatchObject({ status: 200, body: { user_id: '@alice:a.test' } })
    const again = await register(server, { ...wanted, username: 'bob', auth: { type: 'm.login.terms', session } })
    expect(again.status).toBe(401)
  })

  test('a stage that was not offered gets nobody anywhere', async () => {
    await using server = await startTestServer()
    const wanted = { username: 'alice', password: 'password of alice' }
    for (const type of ['m.login.password', 'm.login.terms', 'm.login.sso', '__proto__']) {
      expect(await register(server, { ...wanted, auth: { type } })).toMatchObject({
        status: 401,
        body: { errcode: 'M_UNRECOGNIZED', flows: [{ stages: ['m.login.dummy'] }] },
      })
    }
    expect(await register(server, { ...wanted, auth: { ...dummy, session: 'made up' } })).toMatchObject({ status: 401 })
  })

  test('names and passwords are checked before the stages', async () => {
    await using server = await startTestServer()
    await server.register('taken')
    const attempts: [object, string][] = [
      [{ username: 'TAKEN' }, 'M_USER_IN_USE'],
      [{ username: 'a b' }, 'M_INVALID_USERNAME'],
      [{ username: 'a:b' }, 'M_INVALID_USERNAME'],
      [{ username: '' }, 'M_INVALID_USERNAME'],
      [{ username: 'ünicode' }, 'M_INVALID_USERNAME'],
      [{ username: 'a'.repeat(250) }, 'M_INVALID_USERNAME'],
      [{ username: 'a'.repeat(256) }, 'M_BAD_JSON'],
      [{ username: 5 }, 'M_BAD_JSON'],
      [{ username: 'fine', password: 'short' }, 'M_WEAK_PASSWORD'],
      [{ username: 'fine', device_id: 'a\0b' }, 'M_BAD_JSON'],
    ]
    for (const [body, errcode] of attempts) {
      expect(await register(server, { password: 'long enough', ...body })).toMatchObject({
        status: 400,
        body: { errcode },
      })
    }
  })

  test('without a name one is made; without log-in there is no token', async () => {
    await using server = await startTestServer()
    const { body } = await register(server, { password: 'long enough', auth: dummy, inhibit_login: true })
    expect(body).toEqual({ user_id: expect.stringMatching(/^@\d+:a\.test$/), home_server: 'a.test' })
  })

  test('A08: of many who want one name, in whatever case, one gets it', async () => {
    await using server = await startTestServer()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        register(server, { username: index % 2 ? 'Popular' : 'popular', password: 'long enough', auth: dummy }),
      ),
    )
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1)
    for (const answer of answers) {
      if (answer.status !== 200) expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
    }
  })
})

describe('registration tokens', () => {
  test('A08: the last use of a token is had once', async () => {
    await using server = await startTestServer({ config: { registration: { mode: 'token' } } })
    const { db } = server.ctx.database
    await insertRegistrationToken(db, { token: 'once', uses_allowed: 1, expires_at: null })
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        register(server, {
          username: `user${index}`,
          password: 'long enough',
          auth: { type: 'm.login.registration_token', token: 'once' },
        }),
      ),
    )
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1)
    expect(await db.selectFrom('registration_tokens').selectAll().execute()).toMatchObject([
      { pending: 0, completed: 1 },
    ])
    expect(await db.selectFrom('accounts').selectAll().execute()).toHaveLength(1)
  })

  test('a session keeps a use of it; one that is over gives it back', async () => {
    const config = { registration: { mode: 'token', terms: { url: 'https://a.test/terms' } } }
    const clock = createFakeClock()
    await using server = await startTestServer({ config, clock })
    await insertRegistrationToken(server.ctx.database.db, { token: 'once', uses_allowed: 1, expires_at: null })
    const auth = { type: 'm.login.registration_token', token: 'once' }
    const held = await register(server, { username: 'alice', password: 'long enough', auth })
    expect(held).toMatchObject({ status: 401, body: { completed: ['m.login.registration_token'] } })
    const other = await register(server, { username: 'bob', password: 'long enough', auth })
    expect(other).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
    clock.advance(901_000)
    await register(server, {})
    const late = await register(server, {
      username: 'alice',
      password: 'long enough',
      auth: { type: 'm.login.terms', session: held.body.session },
    })
    expect(late.status).toBe(401)
    expect(await register(server, { username: 'bob', password: 'long enough', auth })).toMatchObject({
      status: 401,
      body: { completed: ['m.login.registration_token'] },
    })
  })

  test('what is no token is not valid', async () => {
    await using server = await startTestServer({ config: { registration: { mode: 'token' } } })
    for (const token of ['', 'none', 'a\0b', 5, null, ['x'], { x: 1 }, 'x'.repeat(100_000)]) {
      const auth = { type: 'm.login.registration_token', token }
      expect(await register(server, { username: 'alice', password: 'long enough', auth })).toMatchObject({
        status: 401,
        body: { errcode: 'M_UNAUTHORIZED', flows: [{ stages: ['m.login.registration_token'] }] },
      })
    }
  })

  test('validity is told, and a token that is over is not valid', async () => {
    await using server = await startTestServer({ config: { registration: { mode: 'token' } } })
    const { db } = server.ctx.database
    await insertRegistrationToken(db, { token: 'good', uses_allowed: null, expires_at: null })
    await insertRegistrationToken(db, { token: 'spent', uses_allowed: 0, expires_at: null })
    await insertRegistrationToken(db, { token: 'expired', uses_allowed: null, expires_at: 1 })
    const validity = '/_matrix/client/v1/register/m.login.registration_token/validity'
    for (const [token, valid] of [
      ['good', true],
      ['spent', false],
      ['expired', false],
      ['none', false],
    ] as const) {
      expect(await server.request('get', validity, { query: { token } })).toMatchObject({
        status: 200,
        body: { valid },
      })
    }
  })
})

describe('who may not register', () => {
  test('nobody, where registration is closed', async () => {
    await using server = await startTestServer({ config: { registration: { mode: 'closed' } } })
    const body = { username: 'alice', password: 'long enough', auth: dummy }
    expect(await register(server, body)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  })

  test('guests and application services', async () => {
    await using server = await startTestServer()
    expect(await register(server, {}, { kind: 'guest' })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    })
    expect(await register(server, { type: 'm.login.application_service', username: 'x' })).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    })
    expect(await register(server, {}, { kind: 'king' })).toMatchObject({ status: 400 })
  })

  test('guests who may are guests', async () => {
    await using server = await startTestServer({ config: { registration: { allow_guests: true } } })
    const { status, body } = await register(server, {}, { kind: 'guest' })
    expect(status).toBe(200)
    const token = body.access_token
    expect((await server.request('get', '/_matrix/client/v3/account/whoami', { token })).body.is_guest).toBe(true)
    expect(await server.request('post', '/_matrix/client/v3/account/password', { token, body: {} })).toMatchObject({
      status: 403,
      body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' },
    })
  })
})

test('guests are where guests may be, and nowhere else', async () => {
  await using server = await startTestServer({ config: { registration: { allow_guests: true } } })
  const alice = await server.register('alice')
  const { body: session } = await register(server, {}, { kind: 'guest' })
  const guest = new TestClient(server.url, session)
  const closed = await alice.createRoom({ preset: 'public_chat' })
  const open = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.guest_access', content: { guest_access: 'can_join' } }],
  })
  const refused = { status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } }
  const at = (room: string) => `/rooms/${encodeURIComponent(room)}`
  const join = { body: { membership: 'join' } }
  const own = `/state/m.room.member/${encodeURIComponent(guest.userId)}`
  expect(await guest.attempt('post', `/join/${encodeURIComponent(closed)}`)).toMatchObject(refused)
  expect(await guest.attempt('post', `${at(closed)}/join`)).toMatchObject(refused)
  expect(await guest.attempt('put', at(closed) + own, join)).toMatchObject(refused)
  expect(await guest.attempt('post', '/join/!unknown:b.test')).toMatchObject(refused)
  await guest.join(open)
  await guest.send(open, 'm.room.message', { body: 'hello' })

  const profile = `/profile/${encodeURIComponent(guest.userId)}`
  await guest.put(`${profile}/displayname`, { displayname: 'Guest' })
  expect(await guest.attempt('put', `${profile}/avatar_url`, { body: { avatar_url: 'mxc://a.test/x' } })).toMatchObject(
    refused,
  )
  expect(await guest.attempt('post', '/createRoom', { body: {} })).toMatchObject(refused)

  const bob = await server.register('bob')
  await bob.join(open)
  const { next_batch: since } = await alice.sync()
  await alice.sendState(open, 'm.room.guest_access', { guest_access: 'forbidden' })
  const left = async () =>
    (await alice.sync({ since })).rooms.join[open].timeline.events.filter(
      ({ type }: Answer) => type === 'm.room.member',
    )
  await expect.poll(left).toMatchObject([{ state_key: guest.userId, content: { membership: 'leave' } }])
  expect(await guest.attempt('post', `/join/${encodeURIComponent(open)}`)).toMatchObject(refused)
})

test('what a room says of guests holds at the moment in which a guest joins', async () => {
  await using server = await startTestServer({ redis: true, config: { registration: { allow_guests: true } } })
  await using second = await startTestServer({ sharing: server })
  const alice = await server.register('alice')
  const guest = new TestClient(server.url, (await register(server, {}, { kind: 'guest' })).body)
  const room = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.guest_access', content: { guest_access: 'can_join' } }],
  })
  // After the guest has asked, and before the join is written; at the process of the join, and at another.
  for (const { ctx } of [second, server]) {
    await alice.sendState(room, 'm.room.guest_access', { guest_access: 'can_join' })
    const permit = async (): Promise<void> => {
      await alice.sendState(room, 'm.room.guest_access', { guest_access: 'forbidden' })
    }
    const joining = joinRoom(ctx, room, guest.userId, {}, [], { permit, isOfGuest: true })
    await expect(joining).rejects.toMatchObject({ errcode: 'M_GUEST_ACCESS_FORBIDDEN' })
  }
})

test('a guest becomes a user by their own token and name, and stays where they are', async () => {
  await using server = await startTestServer({ config: { registration: { allow_guests: true } } })
  const alice = await server.register('alice')
  const open = { type: 'm.room.guest_access', content: { guest_access: 'can_join' } }
  const room = await alice.createRoom({ preset: 'public_chat', initial_state: [open] })
  const { body: session } = await register(server, {}, { kind: 'guest' })
  const guest = new TestClient(server.url, session)
  await guest.join(room)
  const username = guest.userId.slice(1).split(':')[0]!
  const upgrade = { username, password: 'long enough for a user', guest_access_token: guest.accessToken, auth: dummy }
  for (const wrong of [
    { username: 'alice' },
    { username: 'other' },
    { guest_access_token: alice.accessToken },
    { guest_access_token: 'x' },
  ]) {
    expect(await register(server, { ...upgrade, ...wrong })).toMatchObject({ status: 403 })
  }
  expect(await register(server, { ...upgrade, username: undefined })).toMatchObject({ status: 400 })
  expect(await register(server, { ...upgrade, guest_access_token: undefined })).toMatchObject({ status: 400 })
  const { status, body } = await register(server, upgrade)
  expect([status, body.user_id]).toEqual([200, guest.userId])
  const user = new TestClient(server.url, body)
  expect((await user.get('/account/whoami')).is_guest).toBe(false)
  expect((await user.get('/joined_rooms')).joined_rooms).toEqual([room])
  // Also by the token they had, and only once.
  await guest.createRoom()
  expect(await register(server, upgrade)).toMatchObject({ status: 403 })
  await alice.sendState(room, 'm.room.guest_access', { guest_access: 'forbidden' })
  await user.send(room, 'm.room.message', { body: 'still here' })
})

test('whether a name is free', async () => {
  await using server = await startTestServer()
  await server.register('alice')
  const available = (username: string) =>
    server.request('get', '/_matrix/client/v3/register/available', { query: { username } })
  expect(await available('bob')).toMatchObject({ status: 200, body: { available: true } })
  expect(await available('ALICE')).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
  expect(await available('a b')).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_USERNAME' } })
  expect(await server.request('get', '/_matrix/client/v3/register/available')).toMatchObject({
    status: 400,
    body: { errcode: 'M_MISSING_PARAM' },
  })
})
