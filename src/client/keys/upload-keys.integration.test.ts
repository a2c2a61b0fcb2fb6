import { expect, test } from 'vitest'
import { oneTimeKeys, signedDeviceKeys, testKey } from '../../keys/fixtures.ts'
import { signJson } from '../../matrix/signatures.ts'
import { startTestServer, type TestClient } from '../../testing/index.ts'

const upload = (client: TestClient, body: unknown) => client.attempt('post', '/keys/upload', { body })

async function query(client: TestClient, userId: string, devices: string[] = []) {
  return client.post('/keys/query', { device_keys: { [userId]: devices } })
}

test('what a device uploads, others get with its name', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const bob = await server.register('bob')
  const keys = signedDeviceKeys(alice, { 'org.example.more': { b: 1, a: ['é'] } })
  expect(await alice.post('/keys/upload', { device_keys: keys })).toEqual({
    one_time_key_counts: { signed_curve25519: 0 },
  })
  await alice.put(`/devices/${alice.deviceId}`, { display_name: 'A "phone"' })
  const answer = await query(bob, alice.userId)
  expect(answer.device_keys[alice.userId][alice.deviceId]).toEqual({
    ...keys,
    unsigned: { device_display_name: 'A "phone"' },
  })
  expect((await query(bob, alice.userId, ['OTHER'])).device_keys).toEqual({ [alice.userId]: {} })
  expect((await query(alice, bob.userId)).device_keys).toEqual({ [bob.userId]: {} })
  expect(await query(alice, '@nobody:a.test')).toMatchObject({ device_keys: {}, failures: {} })
  expect((await query(alice, '@far:elsewhere.test')).failures).toHaveProperty(['elsewhere.test'])
})

test('only signatures of the owner are shown of what a device uploads', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const keys = signedDeviceKeys(alice)
  const decorated = { ...keys, signatures: { ...keys.signatures, '@mallory:a.test': { 'ed25519:X': 'c2ln' } } }
  await alice.post('/keys/upload', { device_keys: decorated })
  expect((await query(alice, alice.userId)).device_keys[alice.userId][alice.deviceId].signatures).toEqual(
    keys.signatures,
  )
})

test('C35: device keys of others, wrongly signed or malformed ones are refused', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const good = signedDeviceKeys(alice)
  const signed = (change: object) => {
    const { signatures: _, ...rest } = good
    return signJson({ ...rest, ...change }, alice.userId, testKey(alice.deviceId, alice.deviceId))
  }
  const bad: unknown[] = [
    null,
    'text',
    [],
    {},
    signed({ user_id: '@bob:a.test' }),
    signed({ device_id: 'OTHER' }),
    signed({ algorithms: 'none' }),
    signed({ algorithms: [1] }),
    signed({ keys: {} }),
    signed({ keys: null }),
    signed({ keys: { ...good.keys, 'curve25519:OTHER': 'AAAA' } }),
    signed({ keys: { ...good.keys, nocolon: 'AAAA' } }),
    signed({ keys: { ...good.keys, [`ed25519:${alice.deviceId}`]: 'AAAA' } }),
    { ...good, signatures: 'none' },
    { ...good, signatures: { [alice.userId]: { [`ed25519:${alice.deviceId}`]: 'AAAA' } } },
    { ...good, algorithms: ['m.other'] },
    signed({ more: 'x'.repeat(20_000) }),
  ]
  for (const keys of bad) {
    const answer = await upload(alice, { device_keys: keys })
    expect([answer.status, keys]).toEqual([400, keys])
  }
  const forged = await upload(alice, { device_keys: { ...good, algorithms: ['m.other'] } })
  expect(forged.body.errcode).toBe('M_INVALID_SIGNATURE')
  expect((await query(alice, alice.userId)).device_keys[alice.userId]).toEqual({})
  // Nobody trusts what its device has not signed; it is kept, as clients of tests and bridges upload it.
  expect((await upload(alice, { device_keys: { ...good, signatures: {} } })).status).toBe(200)
})

test('C35: a one-time key is taken again as it is, and refused with another value', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const keys = oneTimeKeys(alice, 3)
  expect((await alice.post('/keys/upload', { one_time_keys: keys })).one_time_key_counts).toEqual({
    signed_curve25519: 3,
  })
  expect((await alice.post('/keys/upload', { one_time_keys: keys })).one_time_key_counts.signed_curve25519).toBe(3)
  const id = Object.keys(keys)[0]!
  const other = { ...keys[id], key: 'b3RoZXI' }
  const answer = await upload(alice, { one_time_keys: { [id]: other, ...oneTimeKeys(alice, 1, 'new') } })
  expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  expect((await alice.post('/keys/upload')).one_time_key_counts).toEqual({ signed_curve25519: 3 })
})

test('malformed one-time and fallback keys are refused', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const [key] = Object.values(oneTimeKeys(alice, 1))
  const bad: unknown[] = [
    null,
    [],
    { nocolon: key },
    { ':x': key },
    { 'signed_curve25519:': key },
    { 'signed_curve25519:a': null },
    { 'signed_curve25519:a': 'text' },
    { 'signed_curve25519:a': { key: 'AAAA' } },
    { 'signed_curve25519:a': { key: 1, signatures: {} } },
    { 'signed_curve25519:a': { key: 'AAAA', signatures: { '@a:b': 'c' } } },
    { 'signed_curve25519:a\u0000': key },
    { 'signed_curve25519:a': { key: 'A'.repeat(5000), signatures: {} } },
  ]
  for (const keys of bad) {
    expect([(await upload(alice, { one_time_keys: keys })).status, keys]).toEqual([400, keys])
    expect([(await upload(alice, { fallback_keys: keys })).status, keys]).toEqual([400, keys])
  }
  const two = { 'signed_curve25519:a': key, 'signed_curve25519:b': key }
  expect((await upload(alice, { fallback_keys: two })).status).toBe(400)
  expect((await alice.post('/keys/upload')).one_time_key_counts).toEqual({ signed_curve25519: 0 })
})

test('C37: at most 500 keys of one algorithm, or none is stored', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const answer = await upload(alice, { device_keys: signedDeviceKeys(alice), one_time_keys: oneTimeKeys(alice, 501) })
  expect(answer.status).toBe(400)
  expect((await alice.post('/keys/upload')).one_time_key_counts).toEqual({ signed_curve25519: 0 })
  expect((await query(alice, alice.userId)).device_keys[alice.userId]).toEqual({})
  expect((await upload(alice, { one_time_keys: oneTimeKeys(alice, 500) })).status).toBe(200)
  expect((await upload(alice, { one_time_keys: oneTimeKeys(alice, 1, 'more') })).status).toBe(400)
})

test('C08: names that objects inherit are names like others', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const alias = await server.logIn('alice', { deviceId: '__proto__' })
  const names = ['__proto__', 'constructor', 'toString']
  const text = `{${names.map((name) => `"${name}:${name}":"value of ${name}"`).join(',')}}`
  const { body } = await alias.attempt('post', '/keys/upload', { body: `{"one_time_keys":${text}}` })
  expect(Object.entries(body.one_time_key_counts)).toEqual(
    expect.arrayContaining([...names.map((name) => [name, 1]), ['signed_curve25519', 0]]),
  )
  for (const name of names) {
    const claim = `{"one_time_keys":{"${alice.userId}":{"__proto__":"${name}"}}}`
    const answer = await alice.attempt('post', '/keys/claim', { body: claim })
    const ofUser = answer.body.one_time_keys[alice.userId]
    expect(Object.entries(Object.entries(ofUser)[0]![1] as object)).toEqual([[`${name}:${name}`, `value of ${name}`]])
  }
  expect(({} as { value?: unknown }).value).toBeUndefined()
  const keys = signedDeviceKeys(alias)
  await alias.post('/keys/upload', { device_keys: keys })
  const found = (await query(alice, alice.userId)).device_keys[alice.userId]
  expect(Object.entries(found)[0]).toMatchObject(['__proto__', { device_id: '__proto__' }])
})

test('new identity keys of a device end what its old ones signed', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  await alice.post('/keys/upload', { device_keys: signedDeviceKeys(alice), one_time_keys: oneTimeKeys(alice, 2) })
  await alice.post('/keys/upload', { device_keys: signedDeviceKeys(alice) })
  expect((await alice.post('/keys/upload')).one_time_key_counts.signed_curve25519).toBe(2)
  await alice.post('/keys/upload', { device_keys: signedDeviceKeys(alice, { more: 1 }) })
  expect((await alice.post('/keys/upload')).one_time_key_counts.signed_curve25519).toBe(0)
})
