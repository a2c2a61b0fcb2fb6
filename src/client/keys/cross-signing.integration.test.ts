import { expect, test } from 'vitest'
import { crossSigning, publicKeyOf, signedDeviceKeys, testKey } from '../../keys/fixtures.ts'
import { signJson } from '../../matrix/signatures.ts'
import { type Answer, passwordOf, startTestServer, type TestClient, type TestServer } from '../../testing/index.ts'

const path = '/keys/device_signing/upload'

const upload = (client: TestClient, body: unknown) => client.attempt('post', path, { body })

const authOf = (name: string) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: name },
  password: passwordOf(name),
})

async function query(client: TestClient, ...users: TestClient[]): Promise<Answer> {
  return client.post('/keys/query', { device_keys: Object.fromEntries(users.map((user) => [user.userId, []])) })
}

/** A user with device keys and cross-signing keys. */
async function signedUser(server: TestServer, name: string) {
  const client = await server.register(name)
  const device = signedDeviceKeys(client)
  const keys = crossSigning(client.userId, name)
  await client.post('/keys/upload', { device_keys: device })
  expect((await upload(client, keys.body)).status).toBe(200)
  return { client, device, ...keys }
}

test('the first keys need no password, nor do the same again; others do', async () => {
  await using server = await startTestServer()
  const { client: alice, body } = await signedUser(server, 'alice')
  const bob = await server.register('bob')
  expect((await upload(alice, body)).status).toBe(200)
  expect((await upload(alice, { master_key: body.master_key })).status).toBe(200)
  const seen = await query(alice, alice)
  expect(seen.master_keys[alice.userId]).toEqual({ ...body.master_key, signatures: {} })
  expect(seen.self_signing_keys[alice.userId]).toEqual(body.self_signing_key)
  expect(seen.user_signing_keys[alice.userId]).toEqual(body.user_signing_key)
  const seenByBob = await query(bob, alice)
  expect(seenByBob.self_signing_keys).toEqual(seen.self_signing_keys)
  expect(seenByBob.user_signing_keys).toEqual({})

  const others = crossSigning(alice.userId, 'others').body
  const challenge = await upload(alice, others)
  expect(challenge).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.password'] }] } })
  expect((await query(bob, alice)).master_keys).toEqual(seenByBob.master_keys)
  const auth = { ...authOf('alice'), session: challenge.body.session }
  expect((await upload(alice, { ...others, auth })).status).toBe(200)
  expect((await query(bob, alice)).self_signing_keys[alice.userId]).toEqual(others.self_signing_key)
})

test('a new self-signing key alone needs the password and the signature of the master key', async () => {
  await using server = await startTestServer()
  const { client: alice, body, master } = await signedUser(server, 'alice')
  const key = testKey('new self')
  const object = { ...body.self_signing_key, keys: { [key.keyId]: publicKeyOf(key) }, signatures: {} }
  expect((await upload(alice, { self_signing_key: object })).body.errcode).toBe('M_INVALID_SIGNATURE')
  const signed = signJson(object, alice.userId, master)
  const challenge = await upload(alice, { self_signing_key: signed })
  expect(challenge.status).toBe(401)
  const auth = { ...authOf('alice'), session: challenge.body.session }
  expect((await upload(alice, { self_signing_key: signed, auth })).status).toBe(200)
  expect((await query(alice, alice)).self_signing_keys[alice.userId]).toEqual(signed)
})

test('a new master key alone ends the keys that the old one vouched for, and signatures on it', async () => {
  await using server = await startTestServer()
  const { client: alice, device, selfSigning } = await signedUser(server, 'alice')
  const signed = signJson(device, alice.userId, selfSigning)
  await alice.post('/keys/signatures/upload', { [alice.userId]: { [alice.deviceId]: signed } })
  const master = crossSigning(alice.userId, 'other').body.master_key
  const challenge = await upload(alice, { master_key: master })
  await upload(alice, { master_key: master, auth: { ...authOf('alice'), session: challenge.body.session } })
  const seen = await query(alice, alice)
  expect(seen.master_keys[alice.userId]).toEqual({ ...master, signatures: {} })
  expect([seen.self_signing_keys, seen.user_signing_keys]).toEqual([{}, {}])
  expect(seen.device_keys[alice.userId][alice.deviceId].signatures).toEqual(device.signatures)
})

test('malformed and forged cross-signing keys are refused', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const { body, master } = crossSigning(alice.userId, 'alice')
  const cases: [object, string][] = [
    [{}, 'M_MISSING_PARAM'],
    [{ self_signing_key: body.self_signing_key }, 'M_MISSING_PARAM'],
    [{ master_key: null }, 'M_BAD_JSON'],
    [{ master_key: { ...body.master_key, user_id: '@bob:a.test' } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, usage: ['self_signing'] } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, usage: 'master' } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, keys: {} } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, keys: { 'ed25519:abc': 'abd' } } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, keys: { 'ed25519:abc': 'abc' } } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, keys: { ...body.master_key.keys, 'ed25519:a': 'a' } } }, 'M_INVALID_PARAM'],
    [{ master_key: { ...body.master_key, signatures: 'none' } }, 'M_BAD_JSON'],
    [{ ...body, self_signing_key: { ...body.self_signing_key, signatures: {} } }, 'M_INVALID_SIGNATURE'],
    [{ ...body, self_signing_key: { ...body.self_signing_key, more: 1 } }, 'M_INVALID_SIGNATURE'],
    [
      {
        ...body,
        user_signing_key: signJson({ ...body.self_signing_key, usage: ['user_signing'] }, alice.userId, master),
      },
      'M_INVALID_PARAM',
    ],
  ]
  for (const [keys, errcode] of cases) {
    const answer = await upload(alice, keys)
    expect([answer.status, answer.body.errcode, keys]).toEqual([400, errcode, keys])
  }
  expect((await query(alice, alice)).master_keys).toEqual({})
})

test('a device and a cross-signing key never have the same name', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const { body, master } = crossSigning(alice.userId, 'alice')
  const odd = await server.logIn('alice', { deviceId: publicKeyOf(master) })
  expect(await upload(alice, body)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  await odd.post('/logout')
  expect((await upload(alice, body)).status).toBe(200)
  const again = await server.logIn('alice', { deviceId: publicKeyOf(master) })
  expect((await again.attempt('post', '/keys/upload', { body: { device_keys: signedDeviceKeys(again) } })).status).toBe(
    400,
  )
})

test('signatures reach those who may see them', async () => {
  await using server = await startTestServer()
  const a = await signedUser(server, 'alice')
  const b = await signedUser(server, 'bob')
  const [alice, bob, carol] = [a.client, b.client, await server.register('carol')]
  const device = signJson(a.device, alice.userId, a.selfSigning)
  const byDevice = signJson(a.body.master_key, alice.userId, testKey(alice.deviceId, alice.deviceId))
  const bobsMaster = signJson(b.body.master_key, alice.userId, a.userSigning)
  const signatures = {
    [alice.userId]: { [alice.deviceId]: device, [publicKeyOf(a.master)]: byDevice },
    [bob.userId]: { [publicKeyOf(b.master)]: bobsMaster },
  }
  expect(await alice.post('/keys/signatures/upload', signatures)).toEqual({ failures: {} })
  expect(await alice.post('/keys/signatures/upload', signatures)).toEqual({ failures: {} })

  const seenByCarol = await query(carol, alice, bob)
  expect(seenByCarol.device_keys[alice.userId][alice.deviceId]).toMatchObject(device as object)
  expect(seenByCarol.master_keys[alice.userId]).toEqual(byDevice)
  expect(seenByCarol.master_keys[bob.userId].signatures).toEqual({})
  expect((await query(bob, bob)).master_keys[bob.userId].signatures).toEqual({})
  expect((await query(alice, bob)).master_keys[bob.userId]).toEqual(bobsMaster)
})

test('C34: forged, malformed and unrelated signatures fail one by one, and are not stored', async () => {
  await using server = await startTestServer()
  const a = await signedUser(server, 'alice')
  const b = await signedUser(server, 'bob')
  const [alice, bob] = [a.client, b.client]
  const other = await server.logIn('alice')
  const otherKeys = signedDeviceKeys(other)
  await other.post('/keys/upload', { device_keys: otherKeys })
  const before = await query(alice, alice, bob)
  const bobsDevice = b.device
  const signatures = {
    [alice.userId]: {
      // Signed by the wrong key, changed after signing, unsigned, unknown.
      [alice.deviceId]: signJson(a.device, alice.userId, { ...a.userSigning, keyId: a.selfSigning.keyId }),
      [other.deviceId]: { ...signJson(otherKeys, alice.userId, a.selfSigning), algorithms: ['m.none'] },
      [publicKeyOf(a.master)]: a.body.master_key,
      [publicKeyOf(a.selfSigning)]: signJson(a.body.self_signing_key, alice.userId, a.selfSigning),
      NONE: signJson({ user_id: alice.userId, device_id: 'NONE' }, alice.userId, a.selfSigning),
      MALFORMED: { signatures: { [alice.userId]: 'text' }, keys: null },
    },
    [bob.userId]: {
      [publicKeyOf(b.master)]: signJson(b.body.master_key, alice.userId, a.selfSigning),
      [bob.deviceId]: signJson(bobsDevice, alice.userId, a.userSigning),
    },
    '@nobody:a.test': { X: { signatures: {} } },
    '@far:elsewhere.test': { X: { signatures: {} } },
  }
  const { failures } = await alice.post('/keys/signatures/upload', signatures)
  const codes = Object.fromEntries(
    Object.entries(failures as Answer).map(([user, keys]) => [
      user,
      Object.fromEntries(Object.entries(keys as Answer).map(([name, error]) => [name, (error as Answer).errcode])),
    ]),
  )
  expect(codes).toEqual({
    [alice.userId]: {
      [alice.deviceId]: 'M_INVALID_SIGNATURE',
      [other.deviceId]: 'M_INVALID_SIGNATURE',
      [publicKeyOf(a.master)]: 'M_INVALID_SIGNATURE',
      [publicKeyOf(a.selfSigning)]: 'M_NOT_FOUND',
      NONE: 'M_NOT_FOUND',
      MALFORMED: 'M_NOT_FOUND',
    },
    [bob.userId]: { [publicKeyOf(b.master)]: 'M_INVALID_SIGNATURE', [bob.deviceId]: 'M_NOT_FOUND' },
    '@nobody:a.test': { X: 'M_NOT_FOUND' },
    '@far:elsewhere.test': { X: 'M_NOT_FOUND' },
  })
  expect(await query(alice, alice, bob)).toEqual(before)
  for (const bad of [[], { alice: {} }, { [alice.userId]: [] }, { [alice.userId]: { X: null } }]) {
    expect((await alice.attempt('post', '/keys/signatures/upload', { body: bad })).status).toBe(400)
  }
})

test('signatures on own keys are told to those who share a room, signatures on keys of others to their maker', async () => {
  await using server = await startTestServer()
  const a = await signedUser(server, 'alice')
  const b = await signedUser(server, 'bob')
  const [alice, bob] = [a.client, b.client]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const { next_batch: since } = await bob.sync({ timeout: 0 })
  const before = await alice.sync({ timeout: 0 })
  const signed = signJson(a.body.master_key, bob.userId, b.userSigning)
  await bob.post('/keys/signatures/upload', { [alice.userId]: { [publicKeyOf(a.master)]: signed } })
  const told = await bob.sync({ since, timeout: 0 })
  expect(told.device_lists.changed).toEqual([alice.userId])
  expect((await alice.sync({ since: before.next_batch, timeout: 0 })).device_lists).toBeUndefined()
  const quiet = await alice.sync({ timeout: 0 })
  const device = signJson(a.device, alice.userId, a.selfSigning)
  await alice.post('/keys/signatures/upload', { [alice.userId]: { [alice.deviceId]: device } })
  expect((await bob.sync({ since: told.next_batch, timeout: 0 })).device_lists.changed).toEqual([alice.userId])
  expect((await alice.sync({ since: quiet.next_batch, timeout: 0 })).device_lists.changed).toEqual([alice.userId])
})

test('what is remembered costs no statement, and is forgotten in every process when a user signs', async () => {
  await using server = await startTestServer({ redis: true })
  await using second = await startTestServer({ sharing: server })
  const [a, b] = [await signedUser(server, 'alice'), await signedUser(server, 'bob')]
  const elsewhere = second.adopt(a.client)
  await query(elsewhere, a.client, b.client)
  const { cost } = second.ctx.database
  const before = cost.statements
  expect((await query(elsewhere, a.client, b.client)).master_keys[b.client.userId].signatures).toEqual({})
  expect(cost.statements).toBe(before)
  const since = (await elsewhere.sync({ timeout: 0 })).next_batch
  const signed = signJson(b.body.master_key, a.client.userId, a.userSigning)
  await a.client.post('/keys/signatures/upload', { [b.client.userId]: { [publicKeyOf(b.master)]: signed } })
  expect((await query(a.client, b.client)).master_keys[b.client.userId]).toEqual(signed)
  expect((await elsewhere.sync({ since, timeout: 20_000 })).device_lists.changed).toEqual([b.client.userId])
  expect((await query(elsewhere, b.client)).master_keys[b.client.userId]).toEqual(signed)
})
