import { DehydratedDeviceKey, DeviceId, initAsync } from '@matrix-org/matrix-sdk-crypto-wasm'
import { beforeAll, expect, test } from 'vitest'
import { CryptoDevice } from '../../testing/crypto-device.ts'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

const path = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'

beforeAll(() => initAsync())

/** A device that has cross-signing keys, as a client needs to sign what it lets sleep. */
async function openSigned(client: TestClient): Promise<CryptoDevice> {
  const device = await CryptoDevice.open(client)
  await device.sync()
  const bootstrap = await device.machine.bootstrapCrossSigning(true)
  if (bootstrap.uploadKeysRequest) await device.send(bootstrap.uploadKeysRequest)
  await client.post('/keys/device_signing/upload', JSON.parse(bootstrap.uploadSigningKeysRequest.body))
  await device.send(bootstrap.uploadSignaturesRequest)
  await device.sync()
  return device
}

/** What a client uploads of a device that it lets sleep. */
async function asleep(device: CryptoDevice, key: DehydratedDeviceKey): Promise<Answer> {
  const created = await device.machine.dehydratedDevices().create()
  return JSON.parse((await created.keysForUpload('Asleep', key)).body)
}

test('a device that sleeps takes messages, and wakes up with them on another device', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  const ofAlice = await openSigned(alice)
  const key = DehydratedDeviceKey.createRandomKey()
  expect((await alice.attempt('get', path)).body.errcode).toBe('M_NOT_FOUND')
  const body = await asleep(ofAlice, key)
  expect(await alice.put(path, body)).toEqual({ device_id: body.device_id })
  expect(await alice.get(path)).toEqual({ device_id: body.device_id, device_data: body.device_data })
  const { devices } = await alice.get('/devices')
  expect(devices.map((one: Answer) => one.device_id)).toEqual([alice.deviceId, body.device_id])

  const ofBob = await CryptoDevice.open(bob)
  await ofBob.sync()
  const secret = { msgtype: 'm.text', body: 'a secret' }
  const encrypted = await ofBob.encrypt(room, [ofBob.user, ofAlice.user], secret)
  // It came signed by its owner, or Bob's client would not think of it so.
  const seen = (await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } })).device_keys[alice.userId]
  expect(Object.keys(seen[body.device_id].signatures[alice.userId])).toHaveLength(2)
  expect(seen[body.device_id].dehydrated).toBe(true)

  const fresh = await CryptoDevice.open(await server.logIn('alice'))
  await fresh.sync()
  const rehydrated = await fresh.machine
    .dehydratedDevices()
    .rehydrate(key, new DeviceId(body.device_id), JSON.stringify(body.device_data))
  let received = 0
  for (const method of ['get', 'post']) {
    const events = `${path}/${encodeURIComponent(body.device_id)}/events`
    const first = await alice.request(method, events, method === 'post' ? { body: {} } : {})
    expect(first.events).toHaveLength(1)
    received = (await rehydrated.receiveEvents(JSON.stringify(first.events))).length || received
    const next = { next_batch: first.next_batch }
    const more = await alice.request(
      method,
      events,
      method === 'post' ? { body: next } : { query: { from: first.next_batch } },
    )
    expect(more).toEqual({ events: [] })
  }
  expect(received).toBe(1)
  expect((await fresh.decrypt(room, bob, encrypted)).content).toEqual(secret)
})

test('there is one at a time; it goes by its own endpoint and as other devices do', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const device = await openSigned(alice)
  const key = DehydratedDeviceKey.createRandomKey()
  const [first, second] = [await asleep(device, key), await asleep(device, key)]
  await alice.put(path, first)
  const events = (id: string) => `${path}/${encodeURIComponent(id)}/events`
  await alice.get(events(first.device_id))
  await alice.put(path, second)
  expect((await alice.get('/devices')).devices).toHaveLength(2)
  for (const [client, id] of [
    [alice, first.device_id],
    [alice, alice.deviceId],
    [bob, second.device_id],
  ] as const) {
    expect((await client.attempt('get', events(id))).body.errcode).toBe('M_FORBIDDEN')
  }
  expect((await alice.attempt('get', events(second.device_id), { query: { next_batch: 'x' } })).status).toBe(400)
  expect(await alice.delete(path)).toEqual({ device_id: second.device_id })
  expect((await alice.attempt('delete', path)).body.errcode).toBe('M_NOT_FOUND')
  await alice.put(path, first)
  const auth = {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: 'alice' },
    password: 'password of alice',
  }
  await alice.post('/delete_devices', { devices: [first.device_id], auth })
  expect((await alice.attempt('get', path)).body.errcode).toBe('M_NOT_FOUND')
  const { device_keys: keys } = await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } })
  expect(Object.keys(keys[alice.userId])).toEqual([alice.deviceId])
})

test('what is no such device is refused, and nothing of it stays', async () => {
  await using server = await startTestServer()
  const alice = await server.register('alice')
  const body = await asleep(await openSigned(alice), DehydratedDeviceKey.createRandomKey())
  const { device_keys: deviceKeys, ...withoutKeys } = body
  for (const [wrong, errcode] of [
    [withoutKeys, 'M_MISSING_PARAM'],
    [{ ...body, device_id: alice.deviceId }, 'M_INVALID_PARAM'],
    [{ ...body, device_data: {} }, 'M_MISSING_PARAM'],
    [{ ...body, device_data: { algorithm: 'x'.repeat(70_000) } }, 'M_TOO_LARGE'],
    [{ ...body, device_keys: { ...deviceKeys, algorithms: ['x'] } }, 'M_INVALID_SIGNATURE'],
    [{ ...body, one_time_keys: { x: 1 } }, 'M_BAD_JSON'],
    [{ ...body, initial_device_display_name: 5 }, 'M_BAD_JSON'],
  ]) {
    expect((await alice.attempt('put', path, { body: wrong })).body.errcode).toBe(errcode)
  }
  expect((await alice.get('/devices')).devices).toHaveLength(1)
  await using off = await startTestServer({ sharing: server, config: { experimental: { msc3814: false } } })
  expect((await off.adopt(alice).attempt('put', path, { body })).body.errcode).toBe('M_UNRECOGNIZED')
})
