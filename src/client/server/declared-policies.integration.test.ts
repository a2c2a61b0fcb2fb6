import { expect, test } from 'vitest'
import { ConfigError, checkConfig } from '../../config.ts'
import { startTestServer } from '../../testing/index.ts'

const retention = '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration'
const transports = '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports'
const policy = '/_matrix/client/r0/password_policy'

test('clients are told how long messages are kept, where calls are carried and what a password must be', async () => {
  const livekit = { type: 'livekit', livekit_service_url: 'https://rtc.a.test/jwt' }
  await using server = await startTestServer({
    config: {
      experimental: { msc1763: true, msc2000: true },
      matrix_rtc: { transports: [livekit] },
      passwords: { minimum_length: 10, require_digit: true },
      retention: { default_policy: { max_lifetime_seconds: 60 }, limits: { max_lifetime: { max_seconds: 90 } } },
    },
  })
  const alice = await server.register('alice', { password: 'password 1 of alice' })
  expect(await alice.get(retention)).toEqual({
    policies: { '*': { max_lifetime: 60_000 } },
    limits: { max_lifetime: { max: 90_000 } },
  })
  expect((await server.request('get', retention)).status).toBe(401)
  expect(await alice.get(transports)).toEqual({ rtc_transports: [livekit] })
  expect((await server.request('get', transports)).status).toBe(401)
  const known = await server.request('get', '/.well-known/matrix/client')
  expect(known.body['org.matrix.msc4143.rtc_foci']).toEqual([livekit])
  expect((await server.request('get', policy)).body).toMatchObject({
    policy: { 'm.minimum_length': 10, 'm.require_digit': true, 'm.require_symbol': false },
    'm.minimum_length': 10,
  })
  for (const [password, errcode] of [
    ['short 1', 'M_PASSWORD_TOO_SHORT'],
    ['without a digit', 'M_PASSWORD_NO_DIGIT'],
  ]) {
    const body = { username: 'bob', password, auth: { type: 'm.login.dummy' } }
    expect((await server.request('post', '/_matrix/client/v3/register', { body })).body.errcode).toBe(errcode)
  }
})

test('where nothing is declared, or it is switched off, nothing is told', async () => {
  await using bare = await startTestServer({ config: { experimental: { msc1763: true } } })
  const alice = await bare.register('alice')
  expect(await alice.get(retention)).toEqual({ policies: {}, limits: {} })
  expect(await alice.get(transports)).toEqual({ rtc_transports: [] })
  const known = await bare.request('get', '/.well-known/matrix/client')
  expect(known.body).not.toHaveProperty('org.matrix.msc4143.rtc_foci')
  const experimental = { msc1763: false, msc2000: false, msc4143: false }
  await using off = await startTestServer({ sharing: bare, config: { experimental } })
  for (const path of [retention, transports, policy]) {
    expect((await off.adopt(alice).attempt('get', path)).body.errcode).toBe('M_UNRECOGNIZED')
  }
  const body = { username: 'bob', password: 'short', auth: { type: 'm.login.dummy' } }
  expect((await off.request('post', '/_matrix/client/v3/register', { body })).body.errcode).toBe('M_WEAK_PASSWORD')
})

test.each([
  { default_policy: { min_lifetime_seconds: 2, max_lifetime_seconds: 1 } },
  { limits: { min_lifetime: { min_seconds: 2, max_seconds: 1 } } },
  { default_policy: { max_lifetime_seconds: 2 }, limits: { max_lifetime: { max_seconds: 1 } } },
  { default_policy: { min_lifetime_seconds: 1 }, limits: { min_lifetime: { min_seconds: 2 } } },
])('a retention that contradicts itself is refused: %j', (declared) => {
  expect(() => checkConfig({ server_names: ['a.test'], retention: declared })).toThrow(ConfigError)
})
