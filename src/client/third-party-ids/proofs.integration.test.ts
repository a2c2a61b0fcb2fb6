import { expect, test } from 'vitest'
import { passwordOf, type TestServer } from '../../testing/index.ts'
import { proved, requestToken, secret, startMailing } from '../../testing/mail-users.ts'

/** Everything that the database holds, as text. */
async function contentsOf(server: TestServer): Promise<string> {
  const { db } = server.ctx.database
  const tables = await db.introspection.getTables()
  const rows = await Promise.all(
    tables.map(({ name }) =>
      db
        .selectFrom(name as 'rooms')
        .selectAll()
        .execute(),
    ),
  )
  const text = (_key: string, value: unknown) => (Buffer.isBuffer(value) ? value.toString('latin1') : value)
  return JSON.stringify(
    rows.flat().map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, text(key, value)]))),
  )
}

test('A10: a proof is used once, however many try at a time', async () => {
  await using mailing = await startMailing({ required_to_register: true })
  const { server } = mailing
  const creds = await proved(mailing, 'register', 'a@b.example')
  const names = ['one', 'two', 'three', 'four', 'five', 'six']
  const auth = { type: 'm.login.email.identity', threepid_creds: creds }
  const answers = await Promise.all(
    names.map((username) =>
      server.request('post', '/_matrix/client/v3/register', {
        body: { username, password: passwordOf(username), auth },
      }),
    ),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401, 401, 401])
  expect(await server.ctx.database.db.selectFrom('threepids').selectAll().execute()).toHaveLength(1)
})

test('an address that was taken meanwhile makes no account', async () => {
  await using mailing = await startMailing({ required_to_register: true, hide_existence: false })
  const { server } = mailing
  const [one, two] = [
    await proved(mailing, 'register', 'a@b.example', { client_secret: 'one' }),
    await proved(mailing, 'register', 'a@b.example', { client_secret: 'two' }),
  ]
  const register = (username: string, creds: object) =>
    server.request('post', '/_matrix/client/v3/register', {
      body: {
        username,
        password: passwordOf(username),
        auth: { type: 'm.login.email.identity', threepid_creds: creds },
      },
    })
  expect((await register('alice', one)).status).toBe(200)
  expect((await register('bob', two)).body.errcode).toBe('M_THREEPID_IN_USE')
  expect((await server.request('get', '/_matrix/client/v3/register/available?username=bob')).status).toBe(200)
})

test('no password and no secret of a reset is anywhere in the database', async () => {
  await using mailing = await startMailing({ required_to_register: true })
  const { server } = mailing
  const creds = await proved(mailing, 'register', 'alice@b.example')
  const auth = { type: 'm.login.email.identity', threepid_creds: creds }
  const body = { username: 'alice', password: passwordOf('alice'), auth }
  expect((await server.request('post', '/_matrix/client/v3/register', { body })).status).toBe(200)
  const reset = await proved(mailing, 'account/password', 'alice@b.example')
  const password = 'the second password'
  const change = { new_password: password, auth: { ...auth, threepid_creds: reset } }
  expect((await server.request('post', '/_matrix/client/v3/account/password', { body: change })).status).toBe(200)
  const text = await contentsOf(server)
  expect(text).toContain('alice@b.example')
  for (const hidden of [passwordOf('alice'), password, secret]) expect(text).not.toContain(hidden)
})

test('O17: a mail leads to the domain that was asked', async () => {
  const domains = [{ name: 'b.test', public_baseurl: 'https://matrix.b.example/' }]
  await using mailing = await startMailing({}, { serverNames: ['a.test', 'b.test'], config: { domains } })
  const { server, mails } = mailing
  await requestToken(server, 'register', 'a@b.example', {}, { 'x-forwarded-host': 'matrix.b.example' })
  const { text } = await mails.next()
  expect(text).toContain('https://matrix.b.example/_matrix/client/')
  expect(text).toContain('(b.test)')
})

test('who confirms something may name themselves by their address, and nobody else by theirs', async () => {
  await using mailing = await startMailing({ required_to_register: true })
  const { server } = mailing
  for (const [name, client_secret] of [
    ['alice', 'one'],
    ['bob', 'two'],
  ] as const) {
    const creds = await proved(mailing, 'register', `${name}@b.example`, { client_secret })
    const auth = { type: 'm.login.email.identity', threepid_creds: creds }
    await server.request('post', '/_matrix/client/v3/register', {
      body: { username: name, password: passwordOf(name), auth },
    })
  }
  const alice = await server.logIn('alice')
  const spare = await server.logIn('alice')
  const remove = (address: string, password: string) => {
    const identifier = { type: 'm.id.thirdparty', medium: 'email', address }
    const auth = { type: 'm.login.password', identifier, password }
    return alice.attempt('delete', `/devices/${spare.deviceId}`, { body: { auth } })
  }
  expect((await remove('bob@b.example', passwordOf('bob'))).status).toBe(403)
  expect((await remove('alice@b.example', 'wrong')).status).toBe(401)
  expect((await remove('alice@b.example', passwordOf('alice'))).status).toBe(200)
})
