import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import {
  CryptoEvent,
  type ShowSasCallbacks,
  VerificationPhase,
  type VerificationRequest,
  VerificationRequestEvent,
  VerifierEvent,
} from 'matrix-js-sdk/lib/crypto-api/index.js'
import { MatrixEvent } from 'matrix-js-sdk/lib/models/event.js'
import { expect } from 'vitest'
import { bootstrap, type Device, eventIn, logIn, register, roomKnown, until, withBody } from './sdk-device.ts'

/** What must be found nowhere on the server. */
export const secret = 'The semaphore at Montmartre answers at dawn'

/**
 * Two officials with two devices each: they verify each other, talk encrypted and send a file; a third device reads the
 * history from the key backup and is removed again.
 *
 * @param addresses Where the devices connect, one after the other.
 * @param halfway Called between the two halves of the conversation.
 */
export async function encryptedConversation(
  addresses: readonly string[],
  halfway: () => Promise<void> = async () => {},
): Promise<void> {
  const devices: Device[] = []
  const address = (): string => addresses[devices.length % addresses.length]!
  const add = (device: Device): Device => {
    devices.push(device)
    return device
  }
  try {
    const alice = add(await register(address(), 'alice'))
    const bob = add(await register(address(), 'bob'))
    await bootstrap(alice)
    await bootstrap(bob)
    const alice2 = add(await logIn(address(), 'alice'))
    const bob2 = add(await logIn(address(), 'bob'))

    // A second device is verified by comparing emoji with the first.
    await verifyByEmoji(alice2, await alice2.client.getCrypto()!.requestOwnUserVerification(), alice)
    await until(async () => {
      const status = await alice.client.getCrypto()!.getDeviceVerificationStatus(alice.userId, alice2.deviceId)
      return status?.crossSigningVerified === true
    })

    const { room_id: roomId } = await alice.client.createRoom({
      invite: [bob.userId],
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    } as never)
    await roomKnown(bob, roomId, 'invite')
    await bob.client.joinRoom(roomId)
    await roomKnown(bob2, roomId, 'join')
    await roomKnown(alice, roomId, 'join')

    await alice.client.sendTextMessage(roomId, secret)
    for (const device of [bob, bob2, alice2]) {
      const event = await eventIn(device, roomId, withBody(secret))
      expect(event.getWireType()).toBe('m.room.encrypted')
    }
    await bob2.client.sendTextMessage(roomId, `${secret}, twice`)
    for (const device of [alice, alice2, bob]) await eventIn(device, roomId, withBody(`${secret}, twice`))

    await sendFile(alice, roomId, Buffer.from(`a file about this: ${secret}`))
    expect((await receiveFile(bob2, roomId)).toString()).toBe(`a file about this: ${secret}`)
    await halfway()

    // Alice and Bob verify each other.
    await verifyByEmoji(alice, await alice.client.getCrypto()!.requestVerificationDM(bob.userId, roomId), bob)
    await until(async () =>
      (await alice.client.getCrypto()!.getUserVerificationStatus(bob.userId)).isCrossSigningVerified(),
    )

    // A third device reads the history through the key backup.
    await until(async () => (await keysInBackup(alice)) >= 2)
    const alice3 = add(await logIn(address(), 'alice', alice.recovery))
    const crypto3 = alice3.client.getCrypto()!
    await crypto3.loadSessionBackupPrivateKeyFromSecretStorage()
    await crypto3.restoreKeyBackup()
    await eventIn(alice3, roomId, withBody(secret))

    // A device that is removed is not written to any more.
    await alice.client.deleteDevice(alice3.deviceId, {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: alice.password,
    } as never)
    await expect(alice3.client.whoami()).rejects.toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
    // Bob's device hears of it with its next sync.
    await until(async () => {
      const known = await bob.client.getCrypto()!.getUserDeviceInfo([alice.userId])
      return known.get(alice.userId)?.has(alice3.deviceId) === false
    })
    await bob.client.sendTextMessage(roomId, `${secret}, without the third`)
    const later = await eventIn(alice2, roomId, withBody(`${secret}, without the third`))
    // Whoever has the device still has its keys: they open what was said before, and nothing that is said now.
    const before = await eventIn(alice2, roomId, withBody(secret))
    expect(await opens(alice3, before)).toBe(true)
    expect(await opens(alice3, later)).toBe(false)
  } finally {
    for (const device of devices) device.stop()
  }
}

/** Whether a device can read what another one received, as it was sent. */
async function opens({ client }: Device, { event }: MatrixEvent): Promise<boolean> {
  const copy = new MatrixEvent(event)
  await client.decryptEventIfNeeded(copy)
  return !copy.isDecryptionFailure()
}

/** Asked of the server, since the client remembers what it was. */
async function keysInBackup({ client }: Device): Promise<number> {
  const answer = await fetch(`${client.getHomeserverUrl()}/_matrix/client/v3/room_keys/version`, {
    headers: { authorization: `Bearer ${client.getAccessToken()}` },
  })
  return ((await answer.json()) as { count: number }).count
}

/** One side has asked; both go through the emoji and agree. */
async function verifyByEmoji(asking: Device, request: VerificationRequest, answering: Device): Promise<void> {
  const theirs = await within('a verification request', incomingRequest(answering, asking.userId, request))
  await theirs.accept()
  await phase(request, VerificationPhase.Ready)
  const verifier = await request.startVerification('m.sas.v1')
  await phase(theirs, VerificationPhase.Started)
  const otherVerifier = theirs.verifier!
  const shown = Promise.all([emojiOf(verifier), emojiOf(otherVerifier)])
  const verifying = Promise.all([verifier.verify(), otherVerifier.verify()])
  // What goes wrong in a verification is said where it goes wrong, not after a wait for ever.
  const [mine, yours] = await within('emoji on both sides', Promise.race([shown, failureOf(verifying)]))
  expect(mine.sas.emoji).toEqual(yours.sas.emoji)
  await Promise.all([mine.confirm(), yours.confirm()])
  // The client's own promise is not kept when the other side's "done" comes before the answer to its own, so the phase is
  // what counts; whatever goes wrong still fails the test.
  const done = (): boolean => [request, theirs].every((one) => one.phase === VerificationPhase.Done)
  await Promise.race([verifying, until(async () => done())])
}

function emojiOf(verifier: NonNullable<VerificationRequest['verifier']>): Promise<ShowSasCallbacks> {
  const shown = verifier.getShowSasCallbacks()
  return shown ? Promise.resolve(shown) : new Promise((resolve) => verifier.once(VerifierEvent.ShowSas, resolve))
}

function incomingRequest(
  device: Device,
  from: string,
  { transactionId: transaction, roomId }: VerificationRequest,
): Promise<VerificationRequest> {
  const crypto = device.client.getCrypto()!
  const matches = (request: VerificationRequest): boolean =>
    request.otherUserId === from && (transaction === undefined || request.transactionId === transaction)
  const inRoom = roomId === undefined ? undefined : crypto.findVerificationRequestDMInProgress(roomId, from)
  const known = inRoom ?? crypto.getVerificationRequestsToDeviceInProgress(from).find(matches)
  if (known) return Promise.resolve(known)
  return new Promise((resolve) => {
    device.client.on(CryptoEvent.VerificationRequestReceived, (request) => {
      if (matches(request)) resolve(request)
    })
  })
}

async function phase(request: VerificationRequest, wanted: VerificationPhase): Promise<void> {
  while (request.phase === undefined || request.phase < wanted) {
    const change = new Promise<void>((resolve) => request.once(VerificationRequestEvent.Change, () => resolve()))
    await within(`phase ${wanted} of a verification`, change)
  }
}

/** Never resolves: rejects with what the work is rejected with. */
async function failureOf(work: Promise<unknown>): Promise<never> {
  await work
  return new Promise(() => {})
}

/** @throws Error that names what was waited for, after 20 seconds. */
async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited in vain for ${what}`)), 20_000)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** An attachment as the clients encrypt it. Spec: Client-Server API, "Sending encrypted attachments". */
async function sendFile({ client }: Device, roomId: string, content: Buffer): Promise<void> {
  const key = randomBytes(32)
  const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)])
  const cipher = createCipheriv('aes-256-ctr', key, iv)
  const encrypted = Buffer.concat([cipher.update(content), cipher.final()])
  const { content_uri: url } = await client.uploadContent(encrypted as never, { type: 'application/octet-stream' })
  const file = { url, v: 'v2', iv: iv.toString('base64'), key: { k: key.toString('base64url') } }
  await client.sendMessage(roomId, { msgtype: 'm.file', body: 'plan.txt', file } as never)
}

async function receiveFile(device: Device, roomId: string): Promise<Buffer> {
  const { client } = device
  const { file } = (await eventIn(device, roomId, withBody('plan.txt'))).getContent()
  const address = client.mxcUrlToHttp(file.url, undefined, undefined, undefined, false, true, true)
  const answer = await fetch(address!, { headers: { authorization: `Bearer ${client.getAccessToken()}` } })
  const encrypted = Buffer.from(await answer.arrayBuffer())
  expect(encrypted.includes(secret)).toBe(false)
  const key = Buffer.from(file.key.k, 'base64url')
  const decipher = createDecipheriv('aes-256-ctr', key, Buffer.from(file.iv, 'base64'))
  return Buffer.concat([decipher.update(encrypted), decipher.final()])
}
