import { DeviceId, initAsync } from '@matrix-org/matrix-sdk-crypto-wasm'
import { beforeAll, expect, test } from 'vitest'
import { CryptoDevice } from '../src/testing/crypto-device.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { pair, via } from './two-servers.fixtures.ts'

beforeAll(() => initAsync())

/** Syncs until the device has the key of a message, and fails by the test's own time limit. */
async function read(device: CryptoDevice, room: string, from: CryptoDevice, content: object): Promise<Answer> {
  for (;;) {
    await device.sync()
    const decrypted = await device.decrypt(room, from.client, content).catch(() => undefined)
    if (decrypted) return decrypted.content
  }
}

async function syncUntilChanged(device: CryptoDevice, userId: string): Promise<void> {
  for (;;) {
    const { device_lists: lists } = await device.sync()
    if (lists?.changed?.includes(userId)) return
  }
}

test('devices of real clients on two servers read what they encrypt for each other, new ones too', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const [ofAlice, ofBob] = [await CryptoDevice.open(alice), await CryptoDevice.open(bob)]
  await ofAlice.sync()
  await ofBob.sync()
  const bootstrap = await ofAlice.machine.bootstrapCrossSigning(true)
  if (bootstrap.uploadKeysRequest) await ofAlice.send(bootstrap.uploadKeysRequest)
  await alice.post('/keys/device_signing/upload', JSON.parse(bootstrap.uploadSigningKeysRequest.body))
  await ofAlice.send(bootstrap.uploadSignaturesRequest)
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  await syncUntilChanged(ofAlice, bob.userId)
  await syncUntilChanged(ofBob, alice.userId)
  const users = [ofAlice.user, ofBob.user]

  const first = await ofAlice.encrypt(room, users, { msgtype: 'm.text', body: 'a secret' })
  expect(await read(ofBob, room, ofAlice, first)).toEqual({ msgtype: 'm.text', body: 'a secret' })
  const answer = await ofBob.encrypt(room, users, { msgtype: 'm.text', body: 'another' })
  expect((await read(ofAlice, room, ofBob, answer)).body).toBe('another')
  const seen = await ofBob.machine.getDevice(ofAlice.user, new DeviceId(alice.deviceId))
  expect(seen?.isCrossSignedByOwner()).toBe(true)

  const tablet = await CryptoDevice.open(await other.logIn('bob'))
  await tablet.sync()
  await syncUntilChanged(ofAlice, bob.userId)
  const forAll = await ofAlice.encrypt(room, users, { msgtype: 'm.text', body: 'for three' })
  for (const device of [ofBob, tablet]) expect((await read(device, room, ofAlice, forAll)).body).toBe('for three')

  await tablet.client.post('/logout')
  await syncUntilChanged(ofAlice, bob.userId)
  await ofAlice.machine.updateTrackedUsers(users.map((user) => user.clone()))
  await ofAlice.flush()
  const found = await ofAlice.machine.getUserDevices(ofBob.user)
  expect(found.keys().map(String)).toEqual([bob.deviceId])
})
