import { expect, test } from 'vitest'
import { createFakeClock, passwordOf, startTestServer, type TestClient } from '../../testing/index.ts'
import { follow, linkIn, proved, requestToken, secret, startMailing } from '../../testing/mail-users.ts'

type Credentials = { sid: string; client_secret: string }

const mailStage = (creds: Credentials, session?: string) => ({
  type: 'm.login.email.identity',
  threepid_creds: creds,
  ...(session !== undefined && { session }),
})

async function addAddress(
  mailing: Parameters<typeof proved>[0],
  client: TestClient,
  email: string,
  creds?: Credentials,
) {
  const session = creds ?? (await proved(mailing, 'account/3pid', email, { client_secret: `add.${email.length}` }))
  const auth = {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: client.userId },
    password: passwordOf(/^@([^:]*)/.exec(client.userId)![1]!),
  }
  return client.attempt('post', '/account/3pid/add', { body: { ...session, auth } })
}

test('who registers proves an address, and logs in with it', async () => {
  await using mailing = await startMailing({ required_to_register: true, app_name: 'Courrier' })
  const { server, mails } = mailing
  const asked = await requestToken(
    server,
    'register',
    ' Alice@Ministry.Example ',
    {},
    { 'accept-language': 'fr-FR, en;q=0.5' },
  )
  expect(asked).toMatchObject({ status: 200, body: { sid: expect.stringMatching(/^[\w-]{20,}$/) } })
  const mail = await mails.next()
  expect(mail).toMatchObject({
    to: 'alice@ministry.example',
    from: 'no-reply@a.test',
    subject: 'Confirmez votre adresse pour Courrier',
  })
  expect(mail.headers.get('auto-submitted')).toBe('auto-generated')
  expect(mail.headers.get('content-language')).toBe('fr')
  const [address] = /https:\/\/a\.test\/_matrix\/client\/unstable\/chappe\/email\/submit_token\?token=\S+/.exec(
    mail.text,
  )!
  expect(mail.html).toContain(`<a href="${address}">${address}</a>`)
  expect(mail.html).toMatch(/^<!doctype html>\s<html lang="fr">/)

  const creds = { sid: asked.body.sid, client_secret: secret }
  const register = (auth: object | undefined, username = 'alice') =>
    server.request('post', '/_matrix/client/v3/register', {
      body: { username, password: passwordOf(username), ...(auth && { auth }) },
    })
  const first = await register(undefined)
  expect(first).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.email.identity'] }] } })
  const { session } = first.body
  expect((await register(mailStage(creds, session))).body).toMatchObject({ errcode: 'M_UNAUTHORIZED', session })
  expect((await register({ type: 'm.login.dummy', session })).body.errcode).toBe('M_UNRECOGNIZED')

  const link = linkIn(server, mail)
  const page = await fetch(link, { headers: { 'accept-language': 'de' } })
  expect(page.status).toBe(200)
  expect(await page.text()).toContain('<h1>Adresse bestätigen</h1>')
  // What opens the link without pressing the button proves nothing.
  expect((await register(mailStage(creds, session))).status).toBe(401)
  expect((await follow(link)).status).toBe(200)
  expect((await follow(link)).status).toBe(400)
  expect((await register(mailStage({ ...creds, client_secret: 'other' }, session))).status).toBe(401)
  expect((await register(mailStage(creds, session))).status).toBe(200)
  expect((await register(mailStage(creds), 'bob')).status).toBe(401)

  const logIn = (identifier: object, password = passwordOf('alice')) =>
    server.request('post', '/_matrix/client/v3/login', { body: { type: 'm.login.password', identifier, password } })
  const byMail = { type: 'm.id.thirdparty', medium: 'email', address: 'ALICE@ministry.example' }
  expect(await logIn(byMail)).toMatchObject({ status: 200, body: { user_id: '@alice:a.test' } })
  expect((await logIn(byMail, 'wrong')).body).toEqual((await logIn({ ...byMail, address: 'nobody@b.c' })).body)
  expect((await logIn({ type: 'm.id.thirdparty', medium: 'msisdn', address: '49123' })).body.errcode).toBe(
    'M_THREEPID_MEDIUM_NOT_SUPPORTED',
  )
  expect((await logIn({ type: 'm.id.phone', country: 'FR', phone: '1' })).status).toBe(400)
  const alice = await server.logIn('alice')
  expect((await alice.get('/account/3pid')).threepids).toMatchObject([
    { medium: 'email', address: 'alice@ministry.example' },
  ])
  expect((await alice.get('/capabilities')).capabilities['m.3pid_changes']).toEqual({ enabled: true })
})

test('an address is optional where it is not required, and goes with a registration token', async () => {
  await using mailing = await startMailing({}, { config: { registration: { mode: 'token' } } })
  const { server } = mailing
  await server.ctx.database.db
    .insertInto('registration_tokens')
    .values({ token: 'once', uses_allowed: 1, pending: 0, completed: 0 })
    .execute()
  const register = (auth: object | undefined) =>
    server.request('post', '/_matrix/client/v3/register', {
      body: { username: 'alice', password: passwordOf('alice'), ...(auth && { auth }) },
    })
  const { body } = await register(undefined)
  expect(body.flows).toEqual([
    { stages: ['m.login.registration_token', 'm.login.dummy'] },
    { stages: ['m.login.registration_token', 'm.login.email.identity'] },
  ])
  const { session } = body
  expect((await register({ type: 'm.login.registration_token', token: 'once', session })).status).toBe(401)
  const creds = await proved(mailing, 'register', 'alice@b.example')
  expect((await register(mailStage(creds, session))).status).toBe(200)
  expect((await (await server.logIn('alice')).get('/account/3pid')).threepids).toHaveLength(1)
})

test('who has forgotten the password sets another by mail, and is logged out everywhere', async () => {
  await using mailing = await startMailing()
  const { server, mails } = mailing
  const alice = await server.register('alice')
  expect((await addAddress(mailing, alice, 'alice@b.example')).status).toBe(200)
  const reset = (creds: Credentials, body: object = {}) =>
    server.request('post', '/_matrix/client/v3/account/password', {
      body: { new_password: 'quite another password', auth: mailStage(creds), ...body },
    })
  const unproved = {
    sid: (await requestToken(server, 'account/password', 'alice@b.example')).body.sid,
    client_secret: secret,
  }
  const mail = await mails.next()
  expect(mail.subject).toBe('Reset your password for Matrix')
  expect(mail.text).toContain(alice.userId)
  expect(await reset(unproved)).toMatchObject({
    status: 401,
    body: { flows: [{ stages: ['m.login.email.identity'] }] },
  })
  // A proof for something else is none, whosever it is.
  const added = await proved(mailing, 'account/3pid', 'eve@b.example', { client_secret: 'eve' })
  const registered = await proved(mailing, 'register', 'eve@b.example', { client_secret: 'eve' })
  for (const creds of [added, registered, { ...unproved, sid: added.sid }]) {
    expect((await reset(creds)).status).toBe(401)
  }
  expect((await follow(linkIn(server, mail))).status).toBe(200)
  expect((await reset({ ...unproved, client_secret: 'guessed' })).status).toBe(401)
  expect((await alice.attempt('get', '/account/whoami')).status).toBe(200)
  expect((await reset(unproved, { new_password: 'short' })).body.errcode).toBe('M_WEAK_PASSWORD')
  expect((await reset(unproved)).status).toBe(200)
  expect((await reset(unproved)).status).toBe(401)
  expect((await alice.attempt('get', '/account/whoami')).status).toBe(401)
  await server.logIn('alice', { password: 'quite another password' })
})

test('A10: an address is of one user, and of who proved it', async () => {
  await using mailing = await startMailing({ hide_existence: false })
  const { server } = mailing
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const [one, other] = [
    await proved(mailing, 'account/3pid', 'shared@b.example', { client_secret: 'one' }),
    await proved(mailing, 'account/3pid', 'shared@b.example', { client_secret: 'other' }),
  ]
  const foreign = await addAddress(mailing, bob, '', { sid: one.sid, client_secret: 'other' })
  expect(foreign.body.errcode).toBe('M_THREEPID_AUTH_FAILED')
  expect((await addAddress(mailing, alice, '', one)).status).toBe(200)
  expect((await addAddress(mailing, alice, '', one)).body.errcode).toBe('M_THREEPID_AUTH_FAILED')
  expect((await addAddress(mailing, bob, '', other)).body.errcode).toBe('M_THREEPID_IN_USE')
  expect((await bob.attempt('post', '/account/3pid/add', { body: one })).status).toBe(401)
  expect((await requestToken(server, 'account/3pid', 'shared@b.example')).body.errcode).toBe('M_THREEPID_IN_USE')
  expect((await requestToken(server, 'register', 'shared@b.example')).body.errcode).toBe('M_THREEPID_IN_USE')
  expect((await requestToken(server, 'account/password', 'no@b.example')).body.errcode).toBe('M_THREEPID_NOT_FOUND')

  const remove = (client: TestClient, address = 'Shared@b.example') =>
    client.post('/account/3pid/delete', { medium: 'email', address })
  expect(await remove(bob)).toEqual({ id_server_unbind_result: 'no-support' })
  expect((await alice.get('/account/3pid')).threepids).toHaveLength(1)
  await remove(alice)
  expect((await alice.get('/account/3pid')).threepids).toEqual([])
  const again = await proved(mailing, 'account/3pid', 'shared@b.example', { client_secret: 'again' })
  expect((await addAddress(mailing, bob, '', again)).status).toBe(200)
  await bob.post('/account/deactivate', {
    auth: {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: bob.userId },
      password: passwordOf('bob'),
    },
  })
  expect((await requestToken(server, 'account/3pid', 'shared@b.example', { client_secret: 'x' })).status).toBe(200)
})

test('whether an address is known is not told, but to its owner', async () => {
  await using mailing = await startMailing()
  const { server, mails } = mailing
  const alice = await server.register('alice')
  await addAddress(mailing, alice, 'alice@b.example')
  const kinds = ['register', 'account/password', 'account/3pid'] as const
  for (const of of kinds) {
    for (const email of ['alice@b.example', 'nobody@b.example']) {
      const { status, body } = await requestToken(server, of, email, { client_secret: 'x' })
      expect([status, Object.keys(body)]).toEqual([200, ['sid']])
    }
  }
  const received = []
  for (let count = 0; count < 5; count++) received.push(await mails.next())
  const told = received.map((mail) => [mail.to, mail.subject]).sort((a, b) => a.join().localeCompare(b.join()))
  expect(told).toEqual([
    ['alice@b.example', 'Reset your password for Matrix'],
    ['alice@b.example', 'You already have an account at Matrix'],
    ['alice@b.example', 'You already have an account at Matrix'],
    ['nobody@b.example', 'Confirm a further address for Matrix'],
    ['nobody@b.example', 'Confirm your address for Matrix'],
  ])
  expect(mails.received).toHaveLength(6)
})

test('a mail is sent once for each attempt, its link is good for a while, and no secret is stored', async () => {
  const clock = createFakeClock()
  await using mailing = await startMailing({ hide_existence: false, link_lifetime_seconds: 600 }, { clock })
  const { server, mails } = mailing
  const ask = async (attempt: number) =>
    (await requestToken(server, 'account/3pid', 'a@b.example', { send_attempt: attempt })).body.sid
  const sid = await ask(1)
  const first = linkIn(server, await mails.next())
  expect([await ask(1), await ask(0)]).toEqual([sid, sid])
  expect(mails.received).toHaveLength(1)
  expect(await ask(2)).toBe(sid)
  const second = linkIn(server, await mails.next())
  expect((await follow(first)).status).toBe(400)
  const rows = JSON.stringify(await server.ctx.database.db.selectFrom('mail_validations').selectAll().execute())
  for (const hidden of [secret, new URL(second).searchParams.get('token')!]) expect(rows).not.toContain(hidden)

  clock.advance(601_000)
  expect((await fetch(second)).status).toBe(400)
  expect((await follow(second)).status).toBe(400)
  const next = await ask(2)
  expect(next).not.toBe(sid)
  expect((await follow(linkIn(server, await mails.next()))).status).toBe(200)
  const alice = await server.register('alice')
  clock.advance(601_000)
  expect((await addAddress(mailing, alice, '', { sid: next, client_secret: secret })).body.errcode).toBe(
    'M_THREEPID_AUTH_FAILED',
  )
})

test('a link leads on only where the operator wants it to', async () => {
  await using mailing = await startMailing({ next_link_domains: ['chat.example'] })
  const { server, mails } = mailing
  const leads = async (next: string | null, count: number) => {
    const { status } = await requestToken(server, 'account/3pid', `a${count}@b.example`, { next_link: next })
    if (status !== 200) return status
    const link = linkIn(server, await mails.next())
    const page = await fetch(link)
    const policy = page.headers.get('content-security-policy')
    const response = await follow(link)
    return [response.status, response.headers.get('location'), /form-action ([^;]*)/.exec(policy!)![1]]
  }
  expect(await leads('https://chat.example/#/welcome', 1)).toEqual([
    303,
    'https://chat.example/#/welcome',
    "'self' https://chat.example",
  ])
  expect(await leads('https://a.test/x', 2)).toEqual([303, 'https://a.test/x', "'self' https://a.test"])
  const nowhere = [200, null, "'self'"]
  for (const [index, next] of [
    'https://evil.example/',
    'http://chat.example/',
    'https://chat.example.evil.example/',
    'https://user:pass@chat.example/',
    'https://chat.example:444/',
    'javascript:alert(1)',
    'data:text/html,x',
    null,
  ].entries()) {
    expect(await leads(next, 10 + index), String(next)).toEqual(nowhere)
  }
  expect(await leads('no link', 30)).toBe(400)
})

test('A13, A14: pages are escaped, run nothing and are framed by nobody', async () => {
  await using mailing = await startMailing({ app_name: '<script>alert(1)</script>' })
  const { server, mails } = mailing
  await requestToken(server, 'account/3pid', 'a@b.example')
  const good = linkIn(server, await mails.next())
  const path = new URL(good).pathname
  const evil = `${server.url}${path}?token=${encodeURIComponent('"><script>alert(2)</script>')}`
  const wrong = { method: 'post', body: new URLSearchParams({ token: '"><script>' }) }
  for (const response of [
    await fetch(good),
    await fetch(evil),
    await fetch(evil, wrong),
    await fetch(server.url + path),
  ]) {
    const html = await response.text()
    expect(html).not.toContain('<script')
    expect(html).toContain('&lt;script&gt;alert(1)')
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(response.headers.get('x-frame-options')).toBe('DENY')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const policy = response.headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
  }
  const large = await fetch(good, { method: 'post', body: 'x'.repeat(5000) })
  expect(large.status).toBe(413)
  // The host of a request says nothing about where a mail leads.
  await requestToken(server, 'account/3pid', 'b@b.example', {}, { 'x-forwarded-host': 'evil.example' })
  expect((await mails.next()).text).toContain('https://a.test/')
})

test('what is no address is refused, and nothing gets into the head of a mail', async () => {
  await using mailing = await startMailing()
  const { server, mails } = mailing
  for (const email of [
    '',
    'a',
    '@b.example',
    'a@',
    'a@b@c',
    'a b@c.example',
    'a@b.example\r\nBcc: x@c.example',
    '<a@b.example>',
    'a@b..example',
    '.a@b.example',
    'a,b@c.example',
    'a@b.example;c@d.example',
    `${'x'.repeat(250)}@b.example`,
    'a\u0000@b.example',
  ]) {
    expect((await requestToken(server, 'register', email)).status, JSON.stringify(email)).toBe(400)
  }
  for (const wrong of [
    { client_secret: '' },
    { client_secret: '<a>' },
    { client_secret: 'x'.repeat(256) },
    { send_attempt: 'one' },
    { send_attempt: -1 },
    { next_link: 5 },
  ]) {
    expect((await requestToken(server, 'register', 'a@b.example', wrong)).status, JSON.stringify(wrong)).toBe(400)
  }
  expect(mails.received).toEqual([])
})

test('telephone numbers are refused, and without a mail server so is mail', async () => {
  await using server = await startTestServer()
  for (const of of ['register', 'account/password', 'account/3pid'] as const) {
    const phone = await server.request('post', `/_matrix/client/v3/${of}/msisdn/requestToken`, {
      body: { client_secret: 'x', country: 'FR', phone_number: '0123', send_attempt: 1 },
    })
    expect(phone).toMatchObject({ status: 400, body: { errcode: 'M_THREEPID_MEDIUM_NOT_SUPPORTED' } })
    expect((await requestToken(server, of, 'a@b.example')).body.errcode).toBe('M_THREEPID_MEDIUM_NOT_SUPPORTED')
  }
  const alice = await server.register('alice')
  expect((await alice.get('/capabilities')).capabilities['m.3pid_changes']).toEqual({ enabled: false })
  const body = { new_password: 'quite another password' }
  expect((await server.request('post', '/_matrix/client/v3/account/password', { body })).body.errcode).toBe(
    'M_MISSING_TOKEN',
  )
  expect((await fetch(`${server.url}/_matrix/client/unstable/chappe/email/submit_token?token=x`)).status).toBe(404)
})

test('operators can keep addresses to themselves, and registration closed', async () => {
  await using mailing = await startMailing({ allow_changes: false }, { config: { registration: { mode: 'closed' } } })
  const { server } = mailing
  expect((await requestToken(server, 'account/3pid', 'a@b.example')).body.errcode).toBe('M_THREEPID_DENIED')
  expect((await requestToken(server, 'register', 'a@b.example')).body.errcode).toBe('M_FORBIDDEN')
})

test('mails are limited by who asks and whom they go to', async () => {
  const limits = {
    enabled: true,
    mail_address: { per_second: 0.001, burst_count: 2 },
    mail_requests: { per_second: 0.001, burst_count: 4 },
    mail_wrong_tokens: { per_second: 0.001, burst_count: 1 },
  }
  await using mailing = await startMailing({}, { config: { rate_limits: limits } })
  const { server } = mailing
  const ask = async (email: string, address: string, attempt: number) => {
    const answer = await requestToken(
      server,
      'account/password',
      email,
      { send_attempt: attempt },
      { 'x-forwarded-for': address },
    )
    return answer.status
  }
  expect(await Promise.all([1, 2].map((attempt) => ask('a@b.example', '192.0.2.1', attempt)))).toEqual([200, 200])
  // Whoever asks, and whether or not there is such a user.
  expect(await ask('A@b.example', '192.0.2.2', 3)).toBe(429)
  expect(await ask('c@b.example', '192.0.2.1', 1)).toBe(200)
  expect(await ask('d@b.example', '192.0.2.1', 1)).toBe(200)
  expect(await ask('e@b.example', '192.0.2.1', 1)).toBe(429)
  expect(await ask('e@b.example', '192.0.2.3', 1)).toBe(200)
  const link = `${server.url}/_matrix/client/unstable/chappe/email/submit_token?token=guess`
  expect([(await follow(link)).status, (await follow(link)).status]).toEqual([400, 429])
})

test('a mail server that refuses is said where that tells nobody anything, and hidden elsewhere', async () => {
  for (const hide of [false, true]) {
    await using mailing = await startMailing({ hide_existence: hide })
    mailing.mails.refuses = true
    const answer = await requestToken(mailing.server, 'account/3pid', 'a@b.example')
    expect(answer.status).toBe(hide ? 200 : 500)
    expect(answer.body.errcode).toBe(hide ? undefined : 'M_UNKNOWN')
  }
})
