import { expect, test } from 'vitest'
import { type Answer, createFakeClock, startTestServer, type TestServer } from '../../testing/index.ts'

const path = '/_matrix/client/v3/refresh'

async function refresh(server: TestServer, token: string | undefined): Promise<Answer> {
  return server.request('post', path, { body: { refresh_token: token } })
}

async function isGood(server: TestServer, token: string): Promise<boolean> {
  return (await server.request('get', '/_matrix/client/v3/account/whoami', { token })).status === 200
}

test('an access token that is over is a soft log-out, and its refresh token brings the next', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock })
  await server.register('alice')
  const alice = await server.logIn('alice', { refreshable: true })
  await alice.get('/account/whoami')
  clock.advance(300_000)
  expect(await alice.attempt('get', '/account/whoami')).toMatchObject({
    status: 401,
    body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true },
  })
  const { status, body } = await refresh(server, alice.refreshToken)
  expect({ status, body }).toMatchObject({ status: 200, body: { expires_in_ms: 300_000 } })
  expect(await isGood(server, body.access_token)).toBe(true)
  expect((await alice.attempt('get', '/account/whoami')).body.soft_logout).toBe(false)
})

test('the old tokens last until a new one is used', async () => {
  await using server = await startTestServer()
  await server.register('alice')
  const alice = await server.logIn('alice', { refreshable: true })
  const lost = (await refresh(server, alice.refreshToken)).body
  expect(await isGood(server, alice.accessToken)).toBe(true)
  const second = (await refresh(server, alice.refreshToken)).body
  expect(second.refresh_token).not.toBe(lost.refresh_token)
  expect(await isGood(server, lost.access_token)).toBe(false)
  expect(await isGood(server, second.access_token)).toBe(true)
  expect(await isGood(server, alice.accessToken)).toBe(false)
})

test('A17: a refresh token used after its successor was is stolen: everything of its device ends', async () => {
  await using server = await startTestServer()
  await server.register('alice')
  const alice = await server.logIn('alice', { refreshable: true })
  const second = (await refresh(server, alice.refreshToken)).body
  const third = (await refresh(server, second.refresh_token)).body
  expect(await isGood(server, third.access_token)).toBe(true)
  const again = await refresh(server, second.refresh_token)
  expect(again).toMatchObject({ status: 401, body: { soft_logout: false } })
  expect(await isGood(server, third.access_token)).toBe(false)
  expect((await refresh(server, third.refresh_token)).status).toBe(401)
})

test('so is one that was followed by many', async () => {
  await using server = await startTestServer()
  await server.register('alice')
  const [other, alice] = [await server.logIn('alice'), await server.logIn('alice', { refreshable: true })]
  let latest: Answer = { refresh_token: alice.refreshToken }
  for (let count = 0; count < 5; count++) latest = (await refresh(server, latest.refresh_token)).body
  expect(await isGood(server, latest.access_token)).toBe(true)
  expect((await refresh(server, `${alice.refreshToken}x`)).status).toBe(401)
  expect(await isGood(server, latest.access_token)).toBe(false)
  expect((await refresh(server, latest.refresh_token)).status).toBe(401)
  await other.get('/account/whoami')
})

test('A17: of two refreshes at once one pair of tokens is left', async () => {
  await using server = await startTestServer()
  await server.register('alice')
  const alice = await server.logIn('alice', { refreshable: true })
  const answers = await Promise.all([refresh(server, alice.refreshToken), refresh(server, alice.refreshToken)])
  expect(answers.map((answer) => answer.status)).toEqual([200, 200])
  const good = await Promise.all(answers.map((answer) => isGood(server, answer.body.access_token)))
  expect(good.filter(Boolean)).toHaveLength(1)
})

test('what is no refresh token is refused', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  for (const token of ['', 'x', alice.accessToken]) expect((await refresh(server, token)).status).not.toBe(200)
  expect((await refresh(server, undefined)).body.errcode).toBe('M_MISSING_PARAM')
})
