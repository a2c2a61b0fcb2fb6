import { expect, test } from 'vitest'
import { signedDeviceKeys } from '../src/keys/fixtures.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { startCanary } from '../src/testing/canary.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { signedRequest } from './federated-server.fixtures.ts'
import { pair, synced, via } from './two-servers.fixtures.ts'

const enc = encodeURIComponent

test('F46: whatever keys users upload, other servers are told of their devices', async () => {
  await using scene = await pair()
  const { alice, bob, one, other } = scene
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  const { user_id: userId, device_id: deviceId } = await alice.get('/account/whoami')
  const good = signedDeviceKeys({ userId, deviceId })
  await alice.post('/keys/upload', { device_keys: good })
  const own = { ...good, keys: {}, signatures: {} }
  const key = `ed25519:${deviceId}`
  const odd: unknown[] = [
    null,
    [],
    'keys',
    {},
    { ...own, keys: null },
    { ...own, keys: { [key]: 7 } },
    { ...own, keys: { [key]: 'no base64!' } },
    { ...own, keys: { __proto__: 'x', 'curve25519:': {} } },
    { ...own, signatures: null },
    { ...own, signatures: { [userId]: null } },
    { ...own, signatures: { [userId]: { [key]: {} } } },
    { ...own, signatures: { 'not a user': { x: 'y' } } },
    { ...own, algorithms: 'm.olm.v1' },
    { ...own, algorithms: [7, null] },
    { ...own, unsigned: 'x' },
    { ...own, unsigned: { device_display_name: {} } },
    { ...own, user_id: bob.userId },
    { ...own, device_id: 7 },
    { ...own, extra: { deep: [[[[]]]] } },
  ]
  for (const keys of odd) {
    const uploaded = await alice.attempt('post', '/keys/upload', { body: { device_keys: keys as JsonObject } })
    expect([200, 400], JSON.stringify(keys)).toContain(uploaded.status)
    const crossSigned = await alice.attempt('post', '/keys/device_signing/upload', {
      body: { master_key: keys as JsonObject, self_signing_key: keys as JsonObject },
    })
    expect([200, 400, 401, 403], JSON.stringify(keys)).toContain(crossSigned.status)
    const signed = await alice.attempt('post', '/keys/signatures/upload', {
      body: { [userId]: { [deviceId]: keys as JsonObject, master: keys as JsonObject } },
    })
    expect([200, 400], JSON.stringify(keys)).toContain(signed.status)
    const uri = `/_matrix/federation/v1/user/devices/${enc(userId)}`
    const devices = await signedRequest(other, one, 'GET', uri)
    expect(devices.status, JSON.stringify(keys)).toBe(200)
    expect(devices.body.devices, JSON.stringify(keys)).toMatchObject([
      { device_id: deviceId, keys: { keys: good.keys } },
    ])
    const query = { device_keys: { [userId]: [] } }
    const asked = await bob.attempt('post', '/keys/query', { body: query })
    expect([asked.status, asked.body.failures ?? {}], JSON.stringify(keys)).toEqual([200, {}])
    expect(asked.body.device_keys[userId][deviceId].keys, JSON.stringify(keys)).toEqual(good.keys)
  }
  // What is told of others comes after all of it.
  await alice.put(`/devices/${enc(deviceId)}`, { display_name: 'renamed' })
  await alice.put(`/sendToDevice/m.test/1`, { messages: { [bob.userId]: { '*': { body: 'through' } } } })
  await synced(bob, (sync) => (sync.to_device?.events ?? []).find(({ content }: Answer) => content.body === 'through'))
})

test('F50: the addresses in an invite by address are asked nothing', async () => {
  await using canary = await startCanary('127.0.0.1')
  await using scene = await pair()
  const { alice, bob, one, other } = scene
  const room = await alice.createRoom({ preset: 'public_chat' })
  const url = `http://127.0.0.1:${canary.port}/_matrix/identity/v2/pubkey/isvalid`
  const token = 'a-token'
  const key = Buffer.alloc(32, 5).toString('base64').replace('=', '')
  const content = {
    display_name: 'x',
    key_validity_url: url,
    public_key: key,
    public_keys: [{ public_key: key, key_validity_url: url }],
  }
  await alice.sendState(room, 'm.room.third_party_invite', content, token)
  const signed = { mxid: bob.userId, token, signatures: { 'evil.test': { 'ed25519:0': 'A'.repeat(86) } } }
  const invite = {
    type: 'm.room.member',
    room_id: room,
    sender: alice.userId,
    state_key: bob.userId,
    content: { membership: 'invite', third_party_invite: { display_name: 'x', signed } },
  }
  const uri = `/_matrix/federation/v1/exchange_third_party_invite/${enc(room)}`
  expect((await signedRequest(other, one, 'PUT', uri, { body: invite })).status).toBe(403)
  const bound = { medium: 'email', address: 'bob@b.example', mxid: bob.userId, invites: [{ ...invite, signed }] }
  await other.request('put', '/_matrix/federation/v1/3pid/onbind', { body: bound })
  // The same event, as it comes to another server.
  await bob.post(`/join/${enc(room)}?via=${via(one)}`)
  await alice.sendState(room, 'm.room.third_party_invite', { ...content, display_name: 'y' }, token)
  await synced(bob, (sync) =>
    (sync.rooms?.join?.[room]?.timeline?.events ?? []).find((event: Answer) => event.content.display_name === 'y'),
  )
  expect(canary.visits()).toBe(0)
})
