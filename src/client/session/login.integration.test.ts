import { describe, expect, test } from 'vitest'
import { createAccount } from '../../accounts/create-account.ts'
import { createLoginToken } from '../../accounts/log-in.ts'
import { restrictAccount } from '../../accounts/restrict-account.ts'
import { findAccount } from '../../storage/accounts.ts'
import { createFakeClock, passwordOf, startTestServer, type TestServer } from '../../testing/index.ts'

const path = '/_matrix/client/v3/login'

function logIn(server: TestServer, user: unknown, password: unknown, more: object = {}, headers = {}) {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, ...more }
  return server.request('post', path, { body, headers })
}

describe('with a password', () => {
  test('by localpart, user id or the older form, whatever the case', async () => {
    await using server = await startTestServer({ serverNames: ['a.test', 'b.test'] })
    await server.register('alice')
    await server.register('bob', { domain: 'b.test' })
    for (const user of ['alice', '@alice:a.test', 'Alice', '@ALICE:a.test']) {
      expect(await logIn(server, user, passwordOf('alice'))).toMatchObject({
        status: 200,
        body: { user_id: '@alice:a.test', home_server: 'a.test' },
      })
    }
    const body = { type: 'm.login.password', user: 'alice', password: passwordOf('alice') }
    expect((await server.request('post', path, { body })).status).toBe(200)
    expect((await logIn(server, 'bob', passwordOf('bob'))).status).toBe(403)
    expect((await logIn(server, 'bob', passwordOf('bob'), {}, { host: 'b.test' })).status).toBe(403)
    expect((await server.logIn('bob', { domain: 'b.test' })).userId).toBe('@bob:b.test')
    expect((await logIn(server, '@bob:b.test', passwordOf('bob'))).body.home_server).toBe('b.test')
  })

  test('nothing tells an unknown user from a wrong password', async () => {
    await using server = await startTestServer()
    await server.register('alice')
    const answers = await Promise.all([
      logIn(server, 'alice', 'wrong'),
      logIn(server, 'nobody', 'wrong'),
      logIn(server, '@alice:elsewhere.test', 'wrong'),
    ])
    for (const answer of answers) expect(answer.body).toEqual(answers[0]!.body)
    expect(answers[0]).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  })

  test('what is malformed is said so', async () => {
    await using server = await startTestServer()
    const attempts: [object, number, string][] = [
      [{}, 400, 'M_MISSING_PARAM'],
      [{ type: 'm.login.password' }, 400, 'M_MISSING_PARAM'],
      [{ type: 'm.login.password', password: 'x' }, 400, 'M_MISSING_PARAM'],
      [{ type: 'm.login.password', password: 5, user: 'a' }, 400, 'M_BAD_JSON'],
      [{ type: 'm.login.password', password: 'x', identifier: 'alice' }, 400, 'M_BAD_JSON'],
      [
        { type: 'm.login.password', password: 'x', identifier: { type: 'm.id.phone' } },
        400,
        'M_THREEPID_MEDIUM_NOT_SUPPORTED',
      ],
      [{ type: 'm.login.password', password: 'x', user: '@alice' }, 400, 'M_INVALID_PARAM'],
      [{ type: 'm.login.password', password: 'x', user: 'a\0b' }, 400, 'M_INVALID_PARAM'],
      [{ type: 'm.login.token', token: 'x' }, 400, 'M_UNKNOWN'],
      [{ type: 'm.login.application_service', user: 'x' }, 401, 'M_MISSING_TOKEN'],
      [{ type: 'constructor' }, 400, 'M_UNKNOWN'],
    ]
    for (const [body, status, errcode] of attempts) {
      expect(await server.request('post', path, { body }), JSON.stringify(body)).toMatchObject({
        status,
        body: { errcode },
      })
    }
  })

  test('on a device that is there its earlier token ends', async () => {
    await using server = await startTestServer()
    const first = await server.register('alice')
    const second = await server.logIn('alice', { deviceId: first.deviceId })
    expect(second.deviceId).toBe(first.deviceId)
    expect(await first.attempt('get', '/account/whoami')).toMatchObject({
      status: 401,
      body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: false },
    })
    expect((await second.get('/devices')).devices).toHaveLength(1)
  })

  test('A01: guessing is limited by name and by address, and the account opens again', async () => {
    const clock = createFakeClock()
    await using server = await startTestServer({ clock, config: { rate_limits: { enabled: true } } })
    await createAccount(server.ctx, { userId: '@alice:a.test', password: 'long enough' })
    const from = (address: number, user: string, password: string) =>
      logIn(server, user, password, {}, { 'x-forwarded-for': `192.0.2.${address}` })
    for (let address = 0; address < 3; address++) expect((await from(address, 'alice', 'wrong')).status).toBe(403)
    const limited = await from(9, 'alice', 'long enough')
    expect(limited).toMatchObject({ status: 429, body: { errcode: 'M_LIMIT_EXCEEDED' } })
    expect(limited.body.retry_after_ms).toBeGreaterThan(0)
    expect(Number(limited.headers.get('retry-after'))).toBe(Math.ceil(limited.body.retry_after_ms / 1000))
    clock.advance(limited.body.retry_after_ms)
    expect((await from(10, 'alice', 'long enough')).status).toBe(200)
    for (let count = 0; count < 5; count++) expect((await from(20, `user${count}`, 'wrong')).status).toBe(403)
    expect((await from(20, 'user9', 'wrong')).status).toBe(429)
    expect((await from(21, 'user9', 'wrong')).status).toBe(403)
  })
})

test('a login token is good once, and not for long', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock, config: { sessions: { login_token_enabled: true } } })
  const alice = await server.register('alice')
  const flows = await server.request('get', path)
  expect(flows.body.flows).toContainEqual({ type: 'm.login.token', get_login_token: true })
  const getToken = '/_matrix/client/v1/login/get_token'
  const { session } = (await alice.attempt('post', getToken, { body: {} })).body
  const auth = { type: 'm.login.password', session, user: 'alice', password: passwordOf('alice') }
  const { login_token: token } = await alice.request('post', getToken, { body: { auth } })
  const attempts = await Promise.all(
    Array.from({ length: 5 }, () => server.request('post', path, { body: { type: 'm.login.token', token } })),
  )
  expect(attempts.filter((attempt) => attempt.status === 200)).toHaveLength(1)
  const user = { userId: alice.userId, userNid: (await findAccount(server.ctx.database.db, alice.userId))!.user_nid }
  const late = await createLoginToken(server.ctx, user)
  clock.advance(late.expiresInMs)
  expect(await server.request('post', path, { body: { type: 'm.login.token', token: late.token } })).toMatchObject({
    status: 403,
  })
})

describe('log-out', () => {
  test('ends the device, and all of them', async () => {
    await using server = await startTestServer()
    const first = await server.register('alice')
    const second = await server.logIn('alice')
    const third = await server.logIn('alice')
    await first.post('/logout')
    expect((await first.attempt('get', '/account/whoami')).status).toBe(401)
    expect((await second.get('/devices')).devices).toHaveLength(2)
    await second.post('/logout/all')
    expect((await third.attempt('get', '/account/whoami')).status).toBe(401)
    const { db } = server.ctx.database
    for (const table of ['devices', 'access_tokens'] as const) {
      expect(await db.selectFrom(table).selectAll().execute()).toEqual([])
    }
  })
})

describe('accounts that are closed', () => {
  test('A16: a locked user is told so, and may only log out', async () => {
    await using server = await startTestServer()
    const alice = await server.register('alice')
    const { user_nid: userNid } = (await findAccount(server.ctx.database.db, alice.userId))!
    await restrictAccount(server.ctx, { userId: alice.userId, userNid }, { locked: true })
    const locked = { status: 401, body: { errcode: 'M_USER_LOCKED', soft_logout: true } }
    expect(await alice.attempt('get', '/account/whoami')).toMatchObject(locked)
    expect(await logIn(server, 'alice', passwordOf('alice'))).toMatchObject(locked)
    await alice.post('/logout')
  })

  test('A16: a suspended user may read, and log out', async () => {
    await using server = await startTestServer()
    const alice = await server.register('alice')
    const { user_nid: userNid } = (await findAccount(server.ctx.database.db, alice.userId))!
    await restrictAccount(server.ctx, { userId: alice.userId, userNid }, { suspended: true })
    await alice.get('/account/whoami')
    expect(await alice.attempt('put', `/devices/${alice.deviceId}`, { body: { display_name: 'x' } })).toMatchObject({
      status: 403,
      body: { errcode: 'M_USER_SUSPENDED' },
    })
    await alice.post('/logout')
  })
})
