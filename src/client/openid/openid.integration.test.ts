import { expect, test } from 'vitest'
import { ownerOfOpenIdToken } from '../../accounts/openid-tokens.ts'
import { createFakeClock, startTestServer } from '../../testing/index.ts'

test('a token that says who its bearer is, and does nothing else', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock, serverNames: ['a.test', 'b.test'] })
  const [alice, bob] = [await server.register('alice'), await server.register('bob', { domain: 'b.test' })]
  const path = `/user/${encodeURIComponent(bob.userId)}/openid/request_token`
  const token = await bob.post(path)
  expect(token).toMatchObject({ token_type: 'Bearer', matrix_server_name: 'b.test', expires_in: 3600 })
  expect((await alice.attempt('post', path, { body: {} })).status).toBe(403)
  expect(await ownerOfOpenIdToken(server.ctx, token.access_token)).toBe(bob.userId)
  expect(await ownerOfOpenIdToken(server.ctx, bob.accessToken)).toBeUndefined()
  const asAccess = await server.request('get', '/_matrix/client/v3/account/whoami', { token: token.access_token })
  expect(asAccess.status).toBe(401)
  clock.advance(3_600_000)
  expect(await ownerOfOpenIdToken(server.ctx, token.access_token)).toBeUndefined()
})
