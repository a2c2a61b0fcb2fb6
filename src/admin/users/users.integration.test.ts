import { expect, test } from 'vitest'
import { startAdministered } from '../../testing/administration.ts'

const enc = encodeURIComponent

test('a user is made, listed, changed, deactivated and made usable again', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const path = (name: string) => `/_synapse/admin/v2/users/${enc(`@${name}:a.test`)}`
  const made = await root.attempt('put', path('alice'), {
    body: {
      password: 'a long password',
      displayname: 'Alice A.',
      threepids: [{ medium: 'email', address: 'Alice@A.test' }],
    },
  })
  expect(made.status).toBe(201)
  expect(made.body).toMatchObject({
    name: '@alice:a.test',
    displayname: 'Alice A.',
    admin: false,
    deactivated: false,
    threepids: [{ medium: 'email', address: 'alice@a.test' }],
  })
  const alice = await server.logIn('alice', { password: 'a long password' })
  expect(await root.get('/_synapse/admin/v1/threepid/email/users/alice@A.test')).toEqual({ user_id: alice.userId })
  const changed = await root.put(path('alice'), {
    user_type: 'bot',
    avatar_url: 'mxc://a.test/x',
    external_ids: [{ auth_provider: 'oidc', external_id: 'a1' }],
    locked: true,
  })
  expect(changed).toMatchObject({
    user_type: 'bot',
    locked: true,
    external_ids: [{ auth_provider: 'oidc', external_id: 'a1' }],
  })
  expect((await alice.attempt('get', '/joined_rooms')).body.errcode).toBe('M_USER_LOCKED')
  expect(await root.get('/_synapse/admin/v1/auth_providers/oidc/users/a1')).toEqual({ user_id: alice.userId })
  await server.register('bob')
  const taken = { external_ids: [{ auth_provider: 'oidc', external_id: 'a1' }] }
  expect((await root.attempt('put', path('bob'), { body: taken })).status).toBe(409)

  const names = async (query: Record<string, string | number | boolean>) =>
    (await root.get('/_synapse/admin/v2/users', query)).users.map((user: { name: string }) => user.name)
  expect(await names({})).toEqual(['@bob:a.test', '@root:a.test'])
  expect(await names({ locked: true, dir: 'b' })).toEqual(['@root:a.test', '@bob:a.test', '@alice:a.test'])
  expect(await names({ locked: true, name: 'LICE a' })).toEqual(['@alice:a.test'])
  expect(await names({ admins: true })).toEqual(['@root:a.test'])
  const first = await root.get('/_synapse/admin/v2/users', { limit: 1 })
  expect(first).toMatchObject({ total: 2, next_token: '1' })
  expect(await names({ limit: 1, from: first.next_token })).toEqual(['@root:a.test'])
  expect((await root.attempt('get', '/_synapse/admin/v2/users', { query: { order_by: 'password_hash' } })).status).toBe(
    400,
  )

  await root.post(`/_synapse/admin/v1/deactivate/${enc(alice.userId)}`, { erase: true })
  expect(await names({ deactivated: true, locked: true, user_id: 'alice' })).toEqual(['@alice:a.test'])
  expect(await root.get(path('alice'))).toMatchObject({ deactivated: true, erased: true, threepids: [] })
  expect((await root.attempt('put', path('alice'), { body: { deactivated: false } })).status).toBe(400)
  const again = await root.put(path('alice'), { deactivated: false, password: 'another password', locked: false })
  expect(again).toMatchObject({ deactivated: false, erased: false })
  await server.logIn('alice', { password: 'another password' })
  for (const harm of [{ deactivated: true }, { admin: false }, { locked: true }]) {
    expect((await root.attempt('put', path('root'), { body: harm })).status).toBe(403)
  }
})

test('what users have: devices, rooms, account data, pushers', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom({ invite: [root.userId] })
  await alice.put(`/user/${alice.userId}/account_data/org.test`, { a: 1 })
  await alice.put(`/user/${alice.userId}/rooms/${enc(room)}/account_data/org.test`, { a: 2 })
  const v1 = `/_synapse/admin/v1/users/${enc(alice.userId)}`
  const v2 = `/_synapse/admin/v2/users/${enc(alice.userId)}`
  expect(await root.get(`${v1}/joined_rooms`)).toEqual({ joined_rooms: [room], total: 1 })
  expect(await root.get(`${v1}/memberships`)).toEqual({ memberships: { [room]: 'join' } })
  expect(await root.get(`${v1}/pushers`)).toEqual({ pushers: [], total: 0 })
  const { account_data: data } = await root.get(`${v1}/accountdata`)
  expect(data.global['org.test']).toEqual({ a: 1 })
  expect(data.rooms[room]['org.test']).toEqual({ a: 2 })
  expect(await root.get(`${v1}/sent_invite_count`, { from_ts: 0 })).toEqual({ invite_count: 1 })
  expect(await root.get(`${v1}/cumulative_joined_room_count`, { from_ts: 0 })).toEqual({
    cumulative_joined_room_count: 1,
  })
  expect((await root.get(`/_synapse/admin/v1/whois/${enc(alice.userId)}`)).devices[alice.deviceId]).toBeDefined()

  await root.put(`${v2}/devices/${alice.deviceId}`, { display_name: 'Desk' })
  expect((await root.attempt('post', `${v2}/devices`, { body: { device_id: 'SPARE' } })).status).toBe(201)
  const { devices, total } = await root.get(`${v2}/devices`)
  expect(total).toBe(2)
  expect(devices[0]).toMatchObject({ device_id: alice.deviceId, display_name: 'Desk', user_id: alice.userId })
  await root.delete(`${v2}/devices/SPARE`)
  await root.post(`${v2}/delete_devices`, { devices: [alice.deviceId] })
  expect((await alice.attempt('get', '/joined_rooms')).status).toBe(401)
})

test('a token in the name of a user ends when it is to, and the user sees it', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const path = `/_synapse/admin/v1/users/${enc(alice.userId)}/login`
  const { access_token: token } = await root.post(path)
  expect((await server.request('get', '/_matrix/client/v3/account/whoami', { token })).body.user_id).toBe(alice.userId)
  const { devices } = await alice.get('/devices')
  expect(devices.map((device: { display_name?: string }) => device.display_name)).toContain(
    'Administrator @root:a.test',
  )
  const { access_token: past } = await root.post(path, { valid_until_ms: 1 })
  expect((await server.request('get', '/_matrix/client/v3/account/whoami', { token: past })).status).toBe(401)
})

test('how often a user may send is set for that user alone', async () => {
  const { server, root } = await startAdministered({
    config: {
      rate_limits: {
        enabled: true,
        message: { per_second: 0.001, burst_count: 1 },
        registration: { per_second: 100, burst_count: 100 },
      },
    },
  })
  await using _ = server
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const send = (id: string) =>
    alice.attempt('put', `/rooms/${enc(room)}/send/m.room.message/${id}`, { body: { msgtype: 'm.text', body: 'x' } })
  expect([(await send('1')).status, (await send('2')).status]).toEqual([200, 429])
  const path = `/_synapse/admin/v1/users/${enc(alice.userId)}/override_ratelimit`
  expect(await root.get(path)).toEqual({})
  expect(await root.post(path, { messages_per_second: 0, burst_count: 0 })).toEqual({
    messages_per_second: 0,
    burst_count: 0,
  })
  expect([(await send('3')).status, (await send('4')).status]).toEqual([200, 200])
  await root.delete(path)
  expect((await send('5')).status).toBe(429)
})

test('registration tokens', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const all = '/_synapse/admin/v1/registration_tokens'
  const made = await root.post(`${all}/new`, { token: 'abcd', uses_allowed: 1 })
  expect(made).toEqual({ token: 'abcd', uses_allowed: 1, pending: 0, completed: 0, expiry_time: null })
  expect((await root.attempt('post', `${all}/new`, { body: { token: 'abcd' } })).status).toBe(400)
  expect((await root.post(`${all}/new`, { length: 20 })).token).toHaveLength(20)
  expect((await root.get(all, { valid: true })).registration_tokens).toHaveLength(2)
  expect(await root.put(`${all}/abcd`, { uses_allowed: 0 })).toMatchObject({ uses_allowed: 0 })
  expect((await root.get(all, { valid: false })).registration_tokens).toHaveLength(1)
  await root.delete(`${all}/abcd`)
  expect((await root.attempt('get', `${all}/abcd`)).status).toBe(404)
})

test('who has lost their keys may be let replace them', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const alice = await server.register('alice')
  const path = `/_synapse/admin/v1/users/${enc(alice.userId)}/_allow_cross_signing_replacement_without_uia`
  expect((await root.attempt('post', path)).status).toBe(404)
  const key = (public_key: string) => ({
    master_key: { user_id: alice.userId, usage: ['master'], keys: { [`ed25519:${public_key}`]: public_key } },
  })
  const upload = (public_key: string) => alice.attempt('post', '/keys/device_signing/upload', { body: key(public_key) })
  expect((await upload('n5VY3FIqgRnFjnFNjXCbCuRiJHN0g9PkoVWXD1yxIQY')).status).toBe(200)
  const other = 'kGXYVkXoJ8ERgxbVGo1RLYqKOdQTzFGvXqkFuyrmlTA'
  expect((await upload(other)).status).toBe(401)
  await root.post(path)
  expect((await upload(other)).status).toBe(200)
})

test('rights are given and taken, names looked up, and nobody is banned without knowing it', async () => {
  const { server, root } = await startAdministered()
  await using _ = server
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const v1 = '/_synapse/admin/v1'
  const rights = `${v1}/users/${enc(alice.userId)}/admin`
  expect(await root.get(rights)).toEqual({ admin: false })
  expect((await alice.attempt('get', rights)).status).toBe(403)
  expect(await root.put(rights, { admin: true })).toEqual({})
  expect(await alice.get(rights)).toEqual({ admin: true })
  await alice.put(`${v1}/users/${enc(root.userId)}/admin`, { admin: false })
  expect((await root.attempt('get', rights)).status).toBe(403)
  expect((await alice.attempt('put', rights, { body: { admin: false } })).status).toBe(403)

  const suspend = `${v1}/suspend/${enc(bob.userId)}`
  expect(await alice.put(suspend, { suspend: true })).toEqual({ [`user_${bob.userId}_suspended`]: true })
  expect((await bob.attempt('post', '/createRoom', { body: {} })).body.errcode).toBe('M_USER_SUSPENDED')
  await alice.put(suspend, { suspend: false })
  await bob.createRoom()
  expect((await alice.attempt('put', `${v1}/suspend/${enc(alice.userId)}`, { body: { suspend: true } })).status).toBe(
    403,
  )
  const shadow = `${v1}/users/${enc(bob.userId)}/shadow_ban`
  expect((await alice.attempt('post', shadow, { body: {} })).body.errcode).toBe('M_UNRECOGNIZED')
  expect(await alice.delete(shadow)).toEqual({})

  expect(await alice.get(`${v1}/username_available`, { username: 'carol' })).toEqual({ available: true })
  const taken = await alice.attempt('get', `${v1}/username_available`, { query: { username: 'bob' } })
  expect(taken).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
  const v3 = await alice.get('/_synapse/admin/v3/users', { deactivated: false })
  expect(v3.users.map((user: { name: string }) => user.name)).toEqual([alice.userId, bob.userId, root.userId])
  expect(await alice.get(`${v1}/background_updates/enabled`)).toEqual({ enabled: true })

  await alice.post(`${v1}/reset_password/${enc(bob.userId)}`, { new_password: 'an entirely new one' })
  expect((await bob.attempt('get', '/account/whoami')).status).toBe(401)
  await server.logIn('bob', { password: 'an entirely new one' })
  expect((await alice.attempt('post', `${v1}/deactivate/${enc(alice.userId)}`, { body: {} })).status).toBe(403)
  const bad = { threepids: [{ medium: 'email', address: 'no address' }] }
  expect((await alice.attempt('put', `/_synapse/admin/v2/users/${enc(bob.userId)}`, { body: bad })).status).toBe(400)
  const phone = { threepids: [{ medium: 'msisdn', address: '1' }] }
  const refused = await alice.attempt('put', `/_synapse/admin/v2/users/${enc(bob.userId)}`, { body: phone })
  expect(refused.body.errcode).toBe('M_THREEPID_MEDIUM_NOT_SUPPORTED')
})
