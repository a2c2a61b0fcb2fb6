import { encodeBase64 } from '../matrix/base64.ts'
import type { UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type SigningKey, signingKeyFromSeed, signJson } from '../matrix/signatures.ts'

/** JSON that a test changes as it likes. */
// biome-ignore lint/suspicious/noExplicitAny: as the answers that it is compared with
type Uploaded = any

/** A key made from a word: cross-signing keys are named by their public key, device keys by the device. */
export function testKey(word: string, name?: string): SigningKey {
  const seed = Buffer.alloc(32, word)
  return signingKeyFromSeed(name ?? encodeBase64(signingKeyFromSeed('x', seed).publicKey), seed)
}

export function publicKeyOf(key: SigningKey): string {
  return encodeBase64(key.publicKey)
}

/** Identity keys as a device uploads them. */
export function signedDeviceKeys(user: { userId: UserId; deviceId: string }, more: JsonObject = {}): Uploaded {
  const { userId, deviceId } = user
  const key = testKey(deviceId, deviceId)
  const keys = { [`curve25519:${deviceId}`]: encodeBase64(Buffer.alloc(32, 7)), [key.keyId]: publicKeyOf(key) }
  return signJson(
    { user_id: userId, device_id: deviceId, algorithms: ['m.megolm.v1.aes-sha2'], keys, ...more },
    userId,
    key,
  )
}

/** One-time keys `signed_curve25519:<prefix><number>`. */
export function oneTimeKeys(user: { userId: UserId; deviceId: string }, count: number, prefix = 'k'): Uploaded {
  const keys: { [id: string]: JsonObject } = {}
  for (let index = 0; index < count; index++) {
    const key = `${prefix}${index}`
    keys[`signed_curve25519:${key}`] = {
      key: encodeBase64(Buffer.alloc(32, key)),
      signatures: { [user.userId]: { [`ed25519:${user.deviceId}`]: 'c2lnbmF0dXJl' } },
    }
  }
  return keys
}

/** A user's cross-signing keys: three keys made from the word, the last two signed by the first. */
export function crossSigning(userId: UserId, word: string) {
  const master = testKey(`${word} master`)
  const selfSigning = testKey(`${word} self`)
  const userSigning = testKey(`${word} user`)
  const object = (usage: string, key: SigningKey): Uploaded => ({
    user_id: userId,
    usage: [usage],
    keys: { [key.keyId]: publicKeyOf(key) },
  })
  return {
    master,
    selfSigning,
    userSigning,
    body: {
      master_key: object('master', master),
      self_signing_key: signJson(object('self_signing', selfSigning), userId, master),
      user_signing_key: signJson(object('user_signing', userSigning), userId, master),
    } as Uploaded,
  }
}
