import { expect, test } from 'vitest'
import {
  asService,
  asToken,
  hsToken,
  registerGhost,
  writeRegistration,
} from '../../application-services/bridge.fixtures.ts'
import { startRecordingServer, startTestServer } from '../../testing/index.ts'

test('a service acts as its users and their devices, and as nobody else', async () => {
  using registration = writeRegistration(null)
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const whoami = (query: { [name: string]: string }) => asService(server, 'get', '/account/whoami', { query })
  expect((await whoami({})).body).toMatchObject({ user_id: '@bridgebot:a.test' })
  const forbidden = { status: 403, body: { errcode: 'M_FORBIDDEN' } }
  expect(await whoami({ user_id: alice.userId })).toMatchObject(forbidden)
  expect(await whoami({ user_id: '@_ghost_nobody:a.test' })).toMatchObject(forbidden)
  expect(await whoami({ user_id: '@_ghost_nobody:elsewhere.test' })).toMatchObject(forbidden)
  const ghost = await registerGhost(server, 'bob')
  expect((await whoami({ user_id: ghost })).body).toEqual({ user_id: ghost, is_guest: false })
  expect(await whoami({ user_id: ghost, device_id: 'NONE' })).toMatchObject({
    status: 400,
    body: { errcode: 'M_UNKNOWN_DEVICE' },
  })
  const body = {
    type: 'm.login.application_service',
    identifier: { type: 'm.id.user', user: ghost },
    device_id: 'PHONE',
  }
  const session = (await asService(server, 'post', '/login', { body })).body
  expect(session).toMatchObject({ user_id: ghost, device_id: 'PHONE', access_token: expect.any(String) })
  expect((await whoami({ user_id: ghost, device_id: 'PHONE' })).body).toMatchObject({ device_id: 'PHONE' })
})

test('names of a service are for that service, and a service makes no others', async () => {
  using registration = writeRegistration(null)
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const exclusive = { status: 400, body: { errcode: 'M_EXCLUSIVE' } }
  const dummy = { auth: { type: 'm.login.dummy' }, password: 'a password of theirs' }
  for (const username of ['_ghost_eve', 'bridgebot']) {
    const body = { ...dummy, username }
    expect(await server.request('post', '/_matrix/client/v3/register', { body })).toMatchObject(exclusive)
    expect(await server.request('get', '/_matrix/client/v3/register/available', { query: { username } })).toMatchObject(
      exclusive,
    )
  }
  const type = 'm.login.application_service'
  expect(await asService(server, 'post', '/register', { body: { type, username: 'eve' } })).toMatchObject(exclusive)
  const identifier = { type: 'm.id.user', user: 'alice' }
  expect(await asService(server, 'post', '/login', { body: { type, identifier } })).toMatchObject(exclusive)
  for (const path of ['/register', '/login']) {
    const body = { type, username: '_ghost_bob', identifier }
    const ask = (token?: string) => server.request('post', `/_matrix/client/v3${path}`, { body, token })
    expect(await ask()).toMatchObject({ status: 401, body: { errcode: 'M_MISSING_TOKEN' } })
    expect(await ask(alice.accessToken)).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  }
  const room = await alice.createRoom({ preset: 'public_chat' })
  const alias = (name: string) => `/directory/room/${encodeURIComponent(`#${name}:a.test`)}`
  expect(await alice.attempt('put', alias('_irc_chat'), { body: { room_id: room } })).toMatchObject(exclusive)
  expect(await alice.attempt('post', '/createRoom', { body: { room_alias_name: '_irc_chat' } })).toMatchObject(
    exclusive,
  )
  await asService(server, 'post', `/join/${encodeURIComponent(room)}`, { body: {} })
  expect(await asService(server, 'put', alias('mine'), { body: { room_id: room } })).toMatchObject(exclusive)
  expect(await asService(server, 'put', alias('_irc_chat'), { body: { room_id: room } })).toMatchObject({ status: 200 })
  expect(await alice.attempt('delete', alias('_irc_chat'))).toMatchObject(exclusive)
})

test('only a service says when its events were sent; limits do not hold for it where they need not', async () => {
  using registration = writeRegistration(null, { rate_limited: false })
  const rate = { per_second: 0.001, burst_count: 2 }
  const limits = { rate_limits: { enabled: true, message: rate, registration: { per_second: 100, burst_count: 100 } } }
  await using server = await startTestServer({ config: { ...registration.config, ...limits } })
  const alice = await server.register('alice')
  const ghost = await registerGhost(server, 'bob')
  const room = await alice.createRoom({ preset: 'public_chat' })
  await asService(server, 'post', `/join/${encodeURIComponent(room)}`, { query: { user_id: ghost }, body: {} })
  const message = { msgtype: 'm.text', body: 'long ago' }
  const send = (txnId: string) => `/rooms/${encodeURIComponent(room)}/send/m.room.message/${txnId}`
  const query = { user_id: ghost, ts: 1234 }
  const timeOf = async (id: string) =>
    (await alice.get(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(id)}`)).origin_server_ts
  for (const txnId of ['1', '2', '3']) {
    const { body } = await asService(server, 'put', send(txnId), { query, body: message })
    expect(await timeOf(body.event_id)).toBe(1234)
  }
  const own = await alice.request('put', send('1'), { query: { ts: 1234 }, body: message })
  expect(await timeOf(own.event_id)).toBeGreaterThan(1234)
  const levels = await alice.getState(room, 'm.room.power_levels')
  await alice.sendState(room, 'm.room.power_levels', { ...levels, users: { ...levels.users, [ghost]: 50 } })
  const state = await asService(server, 'put', `/rooms/${encodeURIComponent(room)}/state/org.example.x/`, {
    query,
    body: {},
  })
  expect(await timeOf(state.body.event_id)).toBe(1234)
  expect(await alice.attempt('put', send('2'), { body: message })).toMatchObject({ status: 429 })
})

test('a service is asked for users and aliases that are not there yet', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  service.answer = async ({ path }) => {
    if (path === `/_matrix/app/v1/users/${encodeURIComponent('@_ghost_new:a.test')}`) await registerGhost(server, 'new')
    else if (path === `/_matrix/app/v1/rooms/${encodeURIComponent('#_irc_new:a.test')}`) {
      const body = { preset: 'public_chat', room_alias_name: '_irc_new' }
      await asService(server, 'post', '/createRoom', { body })
    } else if (!path.includes('/transactions/')) return { status: 404, body: { errcode: 'M_NOT_FOUND' } }
    return {}
  }
  expect(await alice.get(`/profile/${encodeURIComponent('@_ghost_new:a.test')}`)).toMatchObject({
    displayname: '_ghost_new',
  })
  expect(await alice.join('#_irc_new:a.test')).toMatchObject({ room_id: expect.stringMatching(/^!/) })
  expect(await alice.attempt('post', `/join/${encodeURIComponent('#_irc_other:a.test')}`, { body: {} })).toMatchObject({
    status: 404,
  })
})

test('a service that asks for it is pinged', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const path = '/_matrix/client/v1/appservice/bridge/ping'
  const ping = () => server.request('post', path, { token: asToken, body: { transaction_id: 'meow' } })
  expect(await ping()).toMatchObject({ status: 200, body: { duration_ms: expect.any(Number) } })
  expect(service.requests[0]).toMatchObject({
    method: 'POST',
    path: '/_matrix/app/v1/ping',
    headers: { authorization: `Bearer ${hsToken}` },
    body: { transaction_id: 'meow' },
  })
  service.answer = () => ({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  expect(await ping()).toMatchObject({ status: 502, body: { errcode: 'M_BAD_STATUS', status: 403 } })
  await service[Symbol.asyncDispose]()
  expect(await ping()).toMatchObject({ status: 502, body: { errcode: 'M_CONNECTION_FAILED' } })
  for (const request of [
    server.request('post', '/_matrix/client/v1/appservice/other/ping', { token: asToken, body: {} }),
    server.request('post', path, { token: alice.accessToken, body: {} }),
  ]) {
    expect(await request).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  }
})

test('third-party networks: what services offer, where and who', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url, { protocols: ['irc'] })
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const location = { alias: '#_irc_chat:a.test', protocol: 'irc', fields: { channel: '#chat' } }
  const user = { userid: '@_ghost_bob:a.test', protocol: 'irc', fields: { nick: 'bob' } }
  service.answer = ({ path }) => {
    if (path.endsWith('/protocol/irc')) {
      const instances = [{ desc: 'Net', network_id: 'net', fields: {} }]
      return {
        body: { user_fields: ['nick'], location_fields: ['channel'], icon: 'mxc://a/b', field_types: {}, instances },
      }
    }
    return { body: path.includes('/location') ? [location, { alias: 'bad' }] : [user] }
  }
  const protocols = await alice.get('/thirdparty/protocols')
  expect(protocols.irc.instances).toMatchObject([{ network_id: 'net', instance_id: 'bridge|net' }])
  expect(await alice.get('/thirdparty/protocol/irc')).toEqual(protocols.irc)
  expect(await alice.attempt('get', '/thirdparty/protocol/xmpp')).toMatchObject({ status: 404 })
  expect(await alice.get('/thirdparty/location/irc', { channel: '#chat' })).toEqual([location])
  expect(service.requests.at(-1)!.query.get('channel')).toBe('#chat')
  expect(await alice.get('/thirdparty/user/irc', { nick: 'bob' })).toEqual([user])
  expect(await alice.get('/thirdparty/location', { alias: location.alias })).toEqual([location])
  expect(await alice.get('/thirdparty/user', { userid: user.userid })).toEqual([user])
})

test('rooms of a network are listed by their service, for those who look in that network', async () => {
  await using service = await startRecordingServer()
  using registration = writeRegistration(service.url)
  await using server = await startTestServer({ config: registration.config })
  const alice = await server.register('alice')
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Bridged' })
  const path = `/directory/list/appservice/net/${encodeURIComponent(room)}`
  const body = { visibility: 'public' }
  expect(await alice.attempt('put', path, { body })).toMatchObject({ status: 403 })
  expect(await asService(server, 'put', path, { body })).toMatchObject({ status: 200 })
  const rooms = async (query: object) => (await alice.post('/publicRooms', query)).chunk
  expect(await rooms({ third_party_instance_id: 'bridge|net' })).toMatchObject([{ room_id: room }])
  expect(await rooms({ third_party_instance_id: 'bridge|other' })).toEqual([])
  expect(await rooms({})).toEqual([])
  expect(await rooms({ include_all_networks: true })).toMatchObject([{ room_id: room }])
  await asService(server, 'put', path, { body: { visibility: 'private' } })
  expect(await rooms({ include_all_networks: true })).toEqual([])
})
