import {
  ClientEvent,
  createClient,
  type ICreateClientOpts,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  type Room,
  RoomEvent,
  SyncState,
} from 'matrix-js-sdk'
import type { GeneratedSecretStorageKey } from 'matrix-js-sdk/lib/crypto-api/index.js'
import type { Logger } from 'matrix-js-sdk/lib/logger.js'

const passwordOf = (name: string): string => `password of ${name}, long enough`

/** One device of one user, with matrix-js-sdk and real encryption. */
export type Device = {
  readonly client: MatrixClient
  readonly userId: string
  readonly deviceId: string
  readonly password: string
  readonly recovery: { key?: GeneratedSecretStorageKey }
  stop(): void
}

export async function register(baseUrl: string, name: string): Promise<Device> {
  const session = await postJson(`${baseUrl}/_matrix/client/v3/register`, {
    username: name,
    password: passwordOf(name),
    auth: { type: 'm.login.dummy' },
  })
  return startDevice(baseUrl, session, passwordOf(name), {})
}

export async function logIn(baseUrl: string, name: string, recovery: Device['recovery'] = {}): Promise<Device> {
  const session = await postJson(`${baseUrl}/_matrix/client/v3/login`, {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: name },
    password: passwordOf(name),
  })
  return startDevice(baseUrl, session, passwordOf(name), recovery)
}

type Session = { user_id: string; device_id: string; access_token: string }

export async function postJson(url: string, body: object): Promise<Session> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as Session
}

/** What the client says is of interest only while a test fails: CHAPPE_TEST_LOG=sdk shows it. */
export const silent: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn: (...what) => process.env.CHAPPE_TEST_LOG === 'sdk' && console.warn(...what),
  error: (...what) => process.env.CHAPPE_TEST_LOG === 'sdk' && console.error(...what),
  getChild: () => silent,
}

async function startDevice(
  baseUrl: string,
  session: Session,
  password: string,
  recovery: Device['recovery'],
): Promise<Device> {
  const options: ICreateClientOpts = {
    baseUrl,
    userId: session.user_id,
    deviceId: session.device_id,
    accessToken: session.access_token,
    logger: silent,
    cryptoCallbacks: {
      getSecretStorageKey: async ({ keys }) => {
        const keyId = Object.keys(keys)[0]
        return recovery.key && keyId ? [keyId, recovery.key.privateKey as Uint8Array<ArrayBuffer>] : null
      },
    },
  }
  const client = createClient(options)
  await client.initRustCrypto({ useIndexedDB: false })
  const prepared = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => {
      if (state === SyncState.Prepared || state === SyncState.Syncing) resolve()
    })
  })
  await client.startClient({ initialSyncLimit: 50, lazyLoadMembers: true })
  await prepared
  return {
    client,
    userId: session.user_id,
    deviceId: session.device_id,
    password,
    recovery,
    stop: () => client.stopClient(),
  }
}

/** The user's cross-signing keys, secret storage and key backup, made on this device. */
export async function bootstrap(device: Device): Promise<void> {
  const crypto = device.client.getCrypto()!
  await crypto.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: async (makeRequest) => {
      await makeRequest({
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: device.userId },
        password: device.password,
      } as never)
    },
  })
  await crypto.bootstrapSecretStorage({
    createSecretStorageKey: async () => {
      device.recovery.key = await crypto.createRecoveryKeyFromPassphrase()
      return device.recovery.key
    },
    setupNewKeyBackup: true,
  })
  await crypto.checkKeyBackupAndEnable()
}

/** Resolves with the first event of a room, now or later, for which `wanted` holds; decrypted when it can be. */
export function eventIn(device: Device, roomId: string, wanted: (event: MatrixEvent) => boolean): Promise<MatrixEvent> {
  const { client } = device
  return new Promise((resolve, reject) => {
    const late = new Error('The event did not come')
    const timer = setTimeout(() => done(() => reject(late)), patience)
    const look = (event: MatrixEvent): void => {
      if (event.getRoomId() === roomId && !event.isBeingDecrypted() && wanted(event)) done(() => resolve(event))
    }
    const onTimeline = (event: MatrixEvent, _room: Room | undefined): void => look(event)
    const done = (then: () => void): void => {
      clearTimeout(timer)
      client.off(RoomEvent.Timeline, onTimeline)
      client.off(MatrixEventEvent.Decrypted, look)
      then()
    }
    client.on(RoomEvent.Timeline, onTimeline)
    client.on(MatrixEventEvent.Decrypted, look)
    for (const event of client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []) look(event)
  })
}

export const withBody =
  (body: string) =>
  (event: MatrixEvent): boolean =>
    event.getContent().body === body

/** Resolves when the client knows the room with a membership. */
export function roomKnown(device: Device, roomId: string, membership: string): Promise<Room> {
  const { client } = device
  return new Promise((resolve, reject) => {
    const late = new Error(`No room with membership ${membership}`)
    const timer = setTimeout(() => done(() => reject(late)), patience)
    const look = (): void => {
      const room = client.getRoom(roomId)
      if (room?.getMyMembership() === membership) done(() => resolve(room))
    }
    const done = (then: () => void): void => {
      clearTimeout(timer)
      client.off(ClientEvent.Sync, look)
      then()
    }
    client.on(ClientEvent.Sync, look)
    look()
  })
}

/** Milliseconds between two looks, and after which it is given up. */
const pause = 100
const patience = 20_000

/** Resolves when `check` holds. @throws Error that names the caller, after 20 seconds. */
export async function until(check: () => Promise<boolean>): Promise<void> {
  const late = new Error('It did not come to be')
  for (const started = Date.now(); !(await check()); ) {
    if (Date.now() - started > patience) throw late
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
