import {
  DecryptionSettings,
  DeviceId,
  DeviceLists,
  EncryptionSettings,
  OlmMachine,
  RequestType,
  RoomId,
  TrustRequirement,
  UserId,
} from '@matrix-org/matrix-sdk-crypto-wasm'
import type { Answer, TestClient } from './test-client.ts'

const trust = () => new DecryptionSettings(TrustRequirement.Untrusted)

/** A device with the encryption that clients have. */
export class CryptoDevice {
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
