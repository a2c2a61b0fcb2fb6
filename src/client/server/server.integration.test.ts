import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { tokenHashOf } from '../../accounts/requesters.ts'
import { verifyJson } from '../../matrix/signatures.ts'
import { startTestServer, type TestServer } from '../../testing/index.ts'

test('versions and capabilities', async () => {
  await using server = await startTestServer()
  const { body } = await server.request('get', '/_matrix/client/versions')
  const current = Array.from({ length: 19 }, (_, index) => `v1.${index + 1}`)
  expect(body.versions).toEqual(expect.arrayContaining(current))
  expect(body.unstable_features).toMatchObject({ 'org.matrix.simplified_msc3575': true })
  const alice = await server.register('alice')
  const { capabilities } = await alice.get('/capabilities')
  expect(capabilities['m.room_versions'].default).toBe('12')
  expect(Object.keys(capabilities['m.room_versions'].available)).toHaveLength(12)
  expect((await server.request('get', '/_matrix/client/v3/capabilities')).status).toBe(401)
})

test('what is said of a domain follows the host', async () => {
  await using server = await startTestServer({
    serverNames: ['a.test', 'b.test'],
    config: { domains: [{ name: 'b.test', public_baseurl: 'https://chat.b.test/' }] },
  })
  const at = async (host: string, path: string) =>
    (await server.request('get', path, { headers: { 'x-forwarded-host': host } })).body
  for (const host of ['b.test', 'chat.b.test']) {
    expect(await at(host, '/.well-known/matrix/client')).toEqual({
      'm.homeserver': { base_url: 'https://chat.b.test' },
    })
    expect(await at(host, '/.well-known/matrix/server')).toEqual({ 'm.server': 'chat.b.test:443' })
  }
  expect(await at('x.test', '/.well-known/matrix/client')).toEqual({ 'm.homeserver': { base_url: 'https://a.test' } })
  for (const name of ['a.test', 'b.test']) {
    const keys = await at(name, '/_matrix/key/v2/server')
    expect(keys.server_name).toBe(name)
    expect(keys.valid_until_ts).toBeGreaterThan(server.ctx.clock.now())
    const [[keyId, { key }]] = Object.entries(keys.verify_keys) as [[string, { key: string }]]
    expect(verifyJson(keys, name, keyId, Buffer.from(key, 'base64'))).toBe(true)
  }
})

test('whom to turn to is told by each domain that names somebody', async () => {
  const contacts = [
    { role: 'm.role.admin', matrix_id: '@help:a.test', email_address: 'help@a.test' },
    { role: 'm.role.security', email_address: 'security@a.test' },
  ]
  const page = 'https://b.test/help'
  await using server = await startTestServer({
    serverNames: ['a.test', 'b.test', 'c.test'],
    config: {
      domains: [
        { name: 'a.test', support_contacts: contacts },
        { name: 'b.test', support_page: page },
      ],
    },
  })
  const at = (host: string) =>
    server.request('get', '/.well-known/matrix/support', { headers: { 'x-forwarded-host': host } })
  expect(await at('a.test')).toMatchObject({ status: 200, body: { contacts } })
  expect((await at('b.test')).body).toEqual({ support_page: page })
  expect(await at('c.test')).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
})

test('OAuth 2.0 and single sign-on are unknown here, in the way that clients look for', async () => {
  await using server = await startTestServer()
  for (const path of ['v1/auth_metadata', 'v3/login/sso/redirect', 'v3/login/sso/redirect/idp']) {
    const answer = await server.request('get', `/_matrix/client/${path}?redirectUrl=https://app.test`)
    expect(answer).toMatchObject({ status: 404, body: { errcode: 'M_UNRECOGNIZED' } })
  }
})

const secret = 'a shared secret'

function mac(nonce: string, username: string, password: string, admin: boolean, key = secret): string {
  const text = [nonce, username, password, admin ? 'admin' : 'notadmin'].join('\0')
  return createHmac('sha1', key).update(text).digest('hex')
}

async function nonceOf(server: TestServer): Promise<string> {
  return (await server.request('get', '/_synapse/admin/v1/register')).body.nonce
}

test('tools that know the secret register users, with each nonce once', async () => {
  await using server = await startTestServer({ config: { registration: { mode: 'closed', shared_secret: secret } } })
  const nonce = await nonceOf(server)
  const body = { nonce, username: 'Root', password: 'pw', admin: true, mac: mac(nonce, 'Root', 'pw', true) }
  const first = await server.request('post', '/_synapse/admin/v1/register', { body })
  expect(first).toMatchObject({ status: 200, body: { user_id: '@root:a.test', access_token: expect.any(String) } })
  expect(await server.ctx.requesters.ofToken(tokenHashOf(first.body.access_token))).toMatchObject({
    requester: { isAdmin: true },
  })
  expect(await server.request('post', '/_synapse/admin/v1/register', { body })).toMatchObject({ status: 400 })
  for (const wrong of [
    (nonce: string) => mac(nonce, 'bob', 'pw', true),
    (nonce: string) => mac(nonce, 'bob', 'pw', false, 'another secret'),
    () => '',
    () => 'zz',
    () => 'é'.repeat(40),
  ]) {
    const nonce = await nonceOf(server)
    const body = { nonce, username: 'bob', password: 'pw', admin: false, mac: wrong(nonce) }
    expect(await server.request('post', '/_synapse/admin/v1/register', { body })).toMatchObject({ status: 403 })
  }
  const audit = await server.ctx.database.db.selectFrom('audit_log').selectAll().orderBy('entry').execute()
  expect(audit).toHaveLength(6)
  expect(audit[0]).toMatchObject({ actor: null, target: 'Root', details: '{"admin":true}', address: '127.0.0.1' })
})

test('without a secret there is no such endpoint', async () => {
  await using server = await startTestServer()
  for (const method of ['get', 'post']) {
    const body = method === 'post' ? {} : undefined
    expect(await server.request(method, '/_synapse/admin/v1/register', { body })).toMatchObject({
      status: 404,
      body: { errcode: 'M_UNRECOGNIZED' },
    })
  }
})
