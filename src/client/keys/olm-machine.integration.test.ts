import {
  BackupDecryptionKey,
  DecryptionSettings,
  DeviceId,
  DeviceLists,
  EncryptionSettings,
  initAsync,
  OlmMachine,
  RequestType,
  RoomId,
  TrustRequirement,
  UserId,
} from '@matrix-org/matrix-sdk-crypto-wasm'
import { beforeAll, expect, test } from 'vitest'
import { type Answer, startTestServer, type TestClient } from '../../testing/index.ts'

beforeAll(() => initAsync())

const trust = () => new DecryptionSettings(TrustRequirement.Untrusted)

/** A device with the encryption that clients have. */
class CryptoDevice {
  readonly client: TestClient
  readonly machine: OlmMachine
  since: string | undefined

  constructor(client: TestClient, machine: OlmMachine) {
    this.client = client
    this.machine = machine
  }

  static async open(client: TestClient): Promise<CryptoDevice> {
    const machine = await OlmMachine.initialize(new UserId(client.userId), new DeviceId(client.deviceId))
    return new CryptoDevice(client, machine)
  }

  get user(): UserId {
    return new UserId(this.client.userId)
  }

  /** Sends what the machine wants sent, until it wants no more. */
  async flush(): Promise<void> {
    for (let requests = await this.machine.outgoingRequests(); requests.length > 0; ) {
      for (const request of requests) await this.send(request)
      requests = await this.machine.outgoingRequests()
    }
  }

  async send(request: Answer): Promise<void> {
    const body = JSON.parse(request.body)
    const answer = await this.#request(request, body)
    if (request.id !== undefined) await this.machine.markRequestAsSent(request.id, request.type, JSON.stringify(answer))
  }

  #request(request: Answer, body: Answer): Promise<Answer> {
    switch (request.type as RequestType) {
      case RequestType.KeysUpload:
        return this.client.post('/keys/upload', body)
      case RequestType.KeysQuery:
        return this.client.post('/keys/query', body)
      case RequestType.KeysClaim:
        return this.client.post('/keys/claim', body)
      case RequestType.SignatureUpload:
        return this.client.post('/keys/signatures/upload', body)
      case RequestType.ToDevice:
        return this.client.put(`/sendToDevice/${request.event_type}/${request.txn_id}`, body)
      case RequestType.KeysBackup:
        return this.client.request('put', '/room_keys/keys', { body, query: { version: request.version } })
      default:
        throw new Error(`No request of type ${request.type} is expected`)
    }
  }

  async sync(): Promise<Answer> {
    const answer = await this.client.sync({ timeout: 0, ...(this.since !== undefined && { since: this.since }) })
    this.since = answer.next_batch
    const users = (list: string[] = []): UserId[] => list.map((userId) => new UserId(userId))
    const { changed, left } = answer.device_lists ?? {}
    await this.machine.receiveSyncChanges(
      JSON.stringify(answer.to_device?.events ?? []),
      new DeviceLists(users(changed), users(left)),
      new Map(Object.entries(answer.device_one_time_keys_count as { [algorithm: string]: number })),
      new Set(answer.device_unused_fallback_key_types as string[]),
      trust(),
    )
    await this.flush()
    return answer
  }

  /** Encrypts a message for the devices of users and sends the room key to them. */
  async encrypt(room: string, users: readonly UserId[], content: object): Promise<Answer> {
    const list = () => users.map((user) => user.clone())
    await this.machine.updateTrackedUsers(list())
    await this.flush()
    const claim = await this.machine.getMissingSessions(list())
    if (claim) await this.send(claim)
    for (const request of await this.machine.shareRoomKey(new RoomId(room), list(), new EncryptionSettings())) {
      await this.send(request)
    }
    const text = await this.machine.encryptRoomEvent(new RoomId(room), 'm.room.message', JSON.stringify(content))
    return JSON.parse(text)
  }

  async decrypt(room: string, sender: TestClient, content: object): Promise<Answer> {
    const event = { event_id: '$e', type: 'm.room.encrypted', sender: sender.userId, origin_server_ts: 1, content }
    const decrypted = await this.machine.decryptRoomEvent(JSON.stringify(event), new RoomId(room), trust())
    return JSON.parse(decrypted.event)
  }
}

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
