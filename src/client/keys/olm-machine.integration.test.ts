import { BackupDecryptionKey, DeviceId, initAsync, RoomId } from '@matrix-org/matrix-sdk-crypto-wasm'
import { beforeAll, expect, test } from 'vitest'
import { CryptoDevice } from '../../testing/crypto-device.ts'
import { type Answer, startTestServer } from '../../testing/index.ts'

beforeAll(() => initAsync())

test('devices of a real client publish keys, cross-sign, and read what they encrypt for each other', async () => {
  await using server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const devices = [await CryptoDevice.open(alice), await CryptoDevice.open(bob)] as const
  const [ofAlice, ofBob] = devices
  for (const device of devices) await device.sync()
  expect((await ofBob.sync()).device_one_time_keys_count.signed_curve25519).toBe(50)

  const bootstrap = await ofAlice.machine.bootstrapCrossSigning(true)
  if (bootstrap.uploadKeysRequest) await ofAlice.send(bootstrap.uploadKeysRequest)
  await alice.post('/keys/device_signing/upload', JSON.parse(bootstrap.uploadSigningKeysRequest.body))
  await ofAlice.send(bootstrap.uploadSignaturesRequest)
  await ofAlice.sync()

  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  for (const device of devices) await device.sync()
  const secret = { msgtype: 'm.text', body: 'a secret' }
  const encrypted = await ofAlice.encrypt(room, [ofAlice.user, ofBob.user], secret)
  await ofBob.sync()
  expect((await ofBob.decrypt(room, alice, encrypted)).content).toEqual(secret)
  const answer = await ofBob.encrypt(room, [ofAlice.user, ofBob.user], { ...secret, body: 'another' })
  await ofAlice.sync()
  expect((await ofAlice.decrypt(room, bob, answer)).content.body).toBe('another')
  const seen = await ofBob.machine.getDevice(ofAlice.user, new DeviceId(alice.deviceId))
  expect(seen?.isCrossSignedByOwner()).toBe(true)

  // A further device of Bob is told of by the stream, and left out of nothing.
  const tablet = await CryptoDevice.open(await server.logIn('bob'))
  await tablet.sync()
  await ofAlice.sync()
  const forAll = await ofAlice.encrypt(room, [ofAlice.user, ofBob.user], { ...secret, body: 'for three' })
  for (const device of [ofBob, tablet]) {
    await device.sync()
    expect((await device.decrypt(room, alice, forAll)).content.body).toBe('for three')
  }

  // Once it is gone, nothing new is for it.
  await tablet.client.post('/logout')
  await ofAlice.sync()
  await ofAlice.machine.invalidateGroupSession(new RoomId(room))
  await ofAlice.encrypt(room, [ofAlice.user, ofBob.user], secret)
  const found = await ofAlice.machine.getUserDevices(ofBob.user)
  expect(found.keys().map(String)).toEqual([bob.deviceId])
})

test('room keys of a real client are backed up', async () => {
  await using server = await startTestServer()
  const alice = await CryptoDevice.open(await server.register('alice'))
  await alice.sync()
  const room = await alice.client.createRoom()
  await alice.encrypt(room, [alice.user], { body: 'x' })
  const key = BackupDecryptionKey.createRandomKey()
  const { publicKeyBase64: publicKey, algorithm } = key.megolmV1PublicKey
  const { version } = await alice.client.post('/room_keys/version', { algorithm, auth_data: { public_key: publicKey } })
  await alice.machine.enableBackupV1(publicKey, version)
  const request = await alice.machine.backupRoomKeys()
  await alice.send(request)
  expect(await alice.machine.backupRoomKeys()).toBeUndefined()
  expect(await alice.client.get('/room_keys/version')).toMatchObject({ count: 1, version })
  const { rooms } = await alice.client.get('/room_keys/keys', { version })
  const [session] = Object.values(rooms[room].sessions) as Answer[]
  const { ephemeral, mac, ciphertext } = session.session_data
  expect(JSON.parse(key.decryptV1(ephemeral, mac, ciphertext)).algorithm).toBe('m.megolm.v1.aes-sha2')
})
