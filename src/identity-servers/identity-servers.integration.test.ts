import { expect, test } from 'vitest'
import { verifyJson } from '../matrix/signatures.ts'
import { startIdentityServer, type TestIdentityServer } from '../testing/identity-server.ts'
import {
  passwordOf,
  type RecordedRequest,
  startTestServer,
  type TestClient,
  type TestServer,
} from '../testing/index.ts'

async function withIdentity(options: Parameters<typeof startTestServer>[0] = {}) {
  const identity = await startIdentityServer()
  const mail = { identity_servers: [identity.recording.url] }
  const server = await startTestServer({ ...options, config: { ...options.config, mail } })
  return {
    identity,
    server,
    async [Symbol.asyncDispose]() {
      await server.close()
      await identity[Symbol.asyncDispose]()
    },
  }
}

const creds = (identity: TestIdentityServer) => ({
  sid: '1',
  client_secret: 'x',
  id_server: identity.name,
  id_access_token: 'abc',
})
const byAddress = (identity: TestIdentityServer, address = 'Bob@b.example') => ({
  medium: 'email',
  address,
  id_server: identity.name,
  id_access_token: 'abc',
})
const paths = (identity: TestIdentityServer) =>
  identity.recording.requests.map(({ method, path }) => `${method} ${path.split('/v2')[1]}`)
const invite = (client: TestClient, room: string, body: object) =>
  client.attempt('post', `/rooms/${encodeURIComponent(room)}/invite`, { body })

/** Whether a request bears the signature of one of our domains. */
function isSigned(server: TestServer, { method, path, headers, body }: RecordedRequest): boolean {
  const [, origin, destination, keyId, signature] =
    /^X-Matrix origin="(.*)",destination="(.*)",key="(.*)",sig="(.*)"$/.exec(String(headers.authorization))!
  const signed = {
    method,
    uri: path,
    origin,
    destination,
    content: body,
    signatures: { [origin!]: { [keyId!]: signature } },
  }
  return verifyJson(signed as never, origin!, keyId!, server.ctx.domains.keyOf(origin!).publicKey)
}

test('an address is bound at a server that the operator lists, and unbound with the signature of the domain', async () => {
  await using both = await withIdentity()
  const { identity, server } = both
  const bob = await server.register('bob')
  expect(await bob.post('/account/3pid/bind', creds(identity))).toEqual({})
  const [bound] = identity.recording.requests
  expect(bound!.headers.authorization).toBe('Bearer abc')
  expect(bound!.body).toEqual({ sid: '1', client_secret: 'x', mxid: bob.userId })
  const threepid = { medium: 'email', address: 'bob@b.example' }
  expect(await bob.post('/account/3pid/unbind', threepid)).toEqual({ id_server_unbind_result: 'success' })
  const unbound = identity.recording.requests[1]!
  expect(unbound.body).toEqual({ mxid: bob.userId, threepid })
  expect(isSigned(server, unbound)).toBe(true)
  expect(await bob.post('/account/3pid/unbind', threepid)).toEqual({ id_server_unbind_result: 'no-support' })
  expect(identity.recording.requests).toHaveLength(2)

  await bob.post('/account/3pid', { three_pid_creds: creds(identity) })
  expect(await bob.post('/account/3pid/delete', threepid)).toEqual({ id_server_unbind_result: 'success' })
  await bob.post('/account/3pid/bind', creds(identity))
  identity.answers.set('/3pid/unbind', { status: 501, body: 'no' })
  expect(await bob.post('/account/3pid/unbind', { ...threepid, id_server: identity.name })).toEqual({
    id_server_unbind_result: 'no-support',
  })
  identity.answers.delete('/3pid/unbind')
  const auth = {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: bob.userId },
    password: passwordOf('bob'),
  }
  expect(await bob.post('/account/deactivate', { auth })).toEqual({ id_server_unbind_result: 'success' })
})

test('what an identity server refuses is the client’s to see, and nothing else it says', async () => {
  await using both = await withIdentity()
  const { identity, server } = both
  const bob = await server.register('bob')
  const attempt = () => bob.attempt('post', '/account/3pid/bind', { body: creds(identity) })
  identity.answers.set('/3pid/bind', {
    status: 403,
    body: { errcode: 'M_TERMS_NOT_SIGNED', error: 'read them', secret: 1 },
  })
  expect(await attempt()).toMatchObject({ status: 403, body: { errcode: 'M_TERMS_NOT_SIGNED', error: 'read them' } })
  expect((await attempt()).body.secret).toBeUndefined()
  identity.answers.set('/3pid/bind', { status: 500, body: { errcode: 'M_UNKNOWN', error: 'x' } })
  expect((await attempt()).status).toBe(502)
  identity.answers.set('/3pid/bind', { status: 400, body: [1] })
  expect((await attempt()).status).toBe(502)
})

test('a server that the operator does not list is never talked to', async () => {
  await using other = await startIdentityServer()
  await using both = await withIdentity()
  const { server } = both
  const bob = await server.register('bob')
  const room = await bob.createRoom()
  for (const name of [other.name, '127.0.0.1', 'evil.example', `${other.name}/x`]) {
    const body = { ...creds(other), id_server: name }
    expect((await bob.attempt('post', '/account/3pid/bind', { body })).body.errcode).toBe('M_SERVER_NOT_TRUSTED')
    expect((await bob.attempt('post', '/account/3pid', { body: { three_pid_creds: body } })).status).toBe(403)
    const named = { ...byAddress(other), id_server: name }
    expect((await invite(bob, room, named)).body.errcode).toBe('M_SERVER_NOT_TRUSTED')
    expect((await bob.attempt('post', '/createRoom', { body: { invite_3pid: [named] } })).body.errcode).toBe(
      'M_SERVER_NOT_TRUSTED',
    )
    const gone = { medium: 'email', address: 'bob@b.example', id_server: name }
    expect(await bob.post('/account/3pid/unbind', gone)).toEqual({ id_server_unbind_result: 'no-support' })
  }
  expect(other.recording.requests).toEqual([])
  expect(both.identity.recording.requests).toEqual([])
  expect((await bob.get('/joined_rooms')).joined_rooms).toEqual([room])
})

test('whom the identity server knows is invited at once', async () => {
  await using both = await withIdentity()
  const { identity, server } = both
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  identity.bound.set('bob@b.example', bob.userId)
  const room = await alice.createRoom({ invite_3pid: [byAddress(identity)] })
  expect(Object.keys((await bob.sync()).rooms.invite)).toEqual([room])
  expect(paths(identity)).toEqual(['GET /hash_details', 'POST /lookup'])
  // The address is not in what is asked.
  expect(JSON.stringify(identity.recording.requests)).not.toContain('bob@b.example')
})

test('whom nobody knows is invited once they prove the address', async () => {
  await using both = await withIdentity()
  const { identity, server } = both
  const [alice, bob, eve] = [await server.register('alice'), await server.register('bob'), await server.register('eve')]
  const room = await alice.createRoom({ name: 'Hall' })
  expect((await invite(alice, room, byAddress(identity))).status).toBe(200)
  expect(paths(identity)).toEqual(['GET /hash_details', 'POST /lookup', 'POST /store-invite'])
  expect(identity.recording.requests[2]!.body).toMatchObject({
    address: 'bob@b.example',
    room_id: room,
    sender: alice.userId,
    room_name: 'Hall',
    sender_display_name: 'alice',
  })
  expect(await alice.getState(room, 'm.room.third_party_invite', 'token0')).toMatchObject({
    display_name: 'b...@b...',
    key_validity_url: 'http://127.0.0.1:1/never/opened',
    public_keys: [{ public_key: expect.any(String) }],
  })
  const tell = (body: object) => server.request('put', '/_matrix/federation/v1/3pid/onbind', { body })
  // A proof for somebody else is none, and neither is one that was changed.
  const proof = identity.onBind('bob@b.example', bob.userId) as { invites: { signed: { mxid: string } }[] }
  const forged = structuredClone({ ...proof, mxid: eve.userId })
  expect((await tell(forged)).status).toBe(200)
  forged.invites[0]!.signed.mxid = eve.userId
  expect((await tell(forged)).status).toBe(200)
  expect((await eve.sync()).rooms?.invite).toBeUndefined()
  expect((await tell(proof)).status).toBe(200)
  expect((await tell(proof)).status).toBe(200)
  expect(Object.keys((await bob.sync()).rooms.invite)).toEqual([room])
  await bob.join(room)
  // Nor does the proof make a member an invited one again.
  expect((await tell(proof)).status).toBe(200)
  expect((await bob.get('/joined_rooms')).joined_rooms).toEqual([room])
  expect((await tell({ ...proof, mxid: '@nobody:a.test' })).status).toBe(404)
  expect((await tell({ mxid: bob.userId, invites: 'x' })).status).toBe(400)
})

test('who may not invite asks nobody, and a useless answer invites nobody', async () => {
  await using both = await withIdentity()
  const { identity, server } = both
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat', power_level_content_override: { invite: 50 } })
  expect((await invite(bob, room, byAddress(identity))).body.errcode).toBe('M_FORBIDDEN')
  await bob.join(room)
  expect((await invite(bob, room, byAddress(identity))).body.errcode).toBe('M_FORBIDDEN')
  for (const [body, status] of [
    [{ ...byAddress(identity), medium: 'msisdn' }, 400],
    [byAddress(identity, 'no address'), 400],
    [{ ...byAddress(identity), id_access_token: undefined }, 400],
    [{ ...byAddress(identity), id_access_token: 'a\r\nb' }, 400],
  ] as const) {
    expect((await invite(alice, room, body)).status).toBe(status)
  }
  expect(identity.recording.requests).toEqual([])
  for (const [path, answer] of [
    ['/hash_details', { body: { lookup_pepper: 'x', algorithms: ['none'] } }],
    ['/lookup', { status: 500, body: {} }],
    ['/store-invite', { body: { token: '<script>', public_keys: [], display_name: 5 } }],
  ] as const) {
    identity.answers.set(path, answer)
    expect((await invite(alice, room, byAddress(identity))).status, path).toBe(502)
    identity.answers.delete(path)
  }
  identity.answers.set('/hash_details', { status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
  expect((await invite(alice, room, byAddress(identity))).status).toBe(403)
})

test('without identity servers nothing of it is there', async () => {
  await using server = await startTestServer()
  const body = { mxid: '@a:a.test', invites: [] }
  expect((await server.request('put', '/_matrix/federation/v1/3pid/onbind', { body })).status).toBe(404)
})

test('an identity server that signs otherwise is asked once more, and clients are told the first', async () => {
  await using both = await withIdentity()
  const { identity, server } = both
  const bob = await server.register('bob')
  await bob.post('/account/3pid/bind', creds(identity))
  identity.answers.set('/3pid/unbind', { status: 403, body: { errcode: 'M_FORBIDDEN', error: 'x' } })
  const threepid = { medium: 'email', address: 'bob@b.example' }
  expect(await bob.post('/account/3pid/unbind', threepid)).toEqual({ id_server_unbind_result: 'no-support' })
  expect(paths(identity).slice(1)).toEqual(['POST /3pid/unbind', 'POST /3pid/unbind'])
  const known = await server.request('get', '/.well-known/matrix/client')
  expect(known.body['m.identity_server']).toBeUndefined()
  await using other = await startTestServer({ config: { mail: { identity_servers: ['id.example', 'other.example'] } } })
  const told = await other.request('get', '/.well-known/matrix/client')
  expect(told.body['m.identity_server']).toEqual({ base_url: 'https://id.example' })
})
