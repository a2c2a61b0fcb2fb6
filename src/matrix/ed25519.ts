import { createPrivateKey, createPublicKey, type KeyObject, sign as nodeSign, verify as nodeVerify } from 'node:crypto'
import { createRequire } from 'node:module'

/** A pair of keys, ready to sign with. All lengths are in bytes. */
export type KeyPair = {
  /** 32: what the pair was made from. */
  readonly seed: Buffer
  /** 64: the seed and the public key, the form that libsodium signs with. */
  readonly secret: Buffer
  /** 32. */
  readonly publicKey: Buffer
}

export type Ed25519 = {
  /** Errors: RangeError unless the seed has 32 bytes. */
  keyPair(seed: Buffer): KeyPair
  /** The 64 bytes of the signature. */
  sign(message: Buffer, pair: KeyPair): Buffer
  /** False also for keys and signatures that are none. */
  verify(signature: Buffer, message: Buffer, publicKey: Uint8Array): boolean
}

const SEED_BYTES = 32
const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64

type Sodium = {
  crypto_sign_seed_keypair(publicKey: Buffer, secret: Buffer, seed: Buffer): void
  crypto_sign_detached(signature: Buffer, message: Buffer, secret: Buffer): void
  crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Uint8Array): boolean
}

function fromSodium(sodium: Sodium): Ed25519 {
  return {
    keyPair(seed) {
      if (seed.length !== SEED_BYTES) throw new RangeError('The seed of a signing key has 32 bytes')
      const publicKey = Buffer.alloc(PUBLIC_KEY_BYTES)
      const secret = Buffer.alloc(SEED_BYTES + PUBLIC_KEY_BYTES)
      sodium.crypto_sign_seed_keypair(publicKey, secret, seed)
      return { seed, secret, publicKey }
    },
    sign(message, pair) {
      const signature = Buffer.allocUnsafe(SIGNATURE_BYTES)
      sodium.crypto_sign_detached(signature, message, pair.secret)
      return signature
    },
    verify(signature, message, publicKey) {
      if (signature.length !== SIGNATURE_BYTES || publicKey.length !== PUBLIC_KEY_BYTES) return false
      return sodium.crypto_sign_verify_detached(signature, message, publicKey)
    },
  }
}

/** What comes before the key in DER: RFC 8410. */
const PRIVATE_KEY_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_KEY_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** The same with `node:crypto`, which is slower but always there. Parsed keys are kept as long as their bytes are. */
export function fromNodeCrypto(): Ed25519 {
  const parsed = new WeakMap<Uint8Array, KeyObject>()
  const parseOnce = (bytes: Uint8Array, parse: () => KeyObject) => {
    let key = parsed.get(bytes)
    if (key === undefined) parsed.set(bytes, (key = parse()))
    return key
  }
  const privateKey = (seed: Buffer) =>
    parseOnce(seed, () =>
      createPrivateKey({ key: Buffer.concat([PRIVATE_KEY_PREFIX, seed]), format: 'der', type: 'pkcs8' }),
    )
  const publicKey = (bytes: Uint8Array) =>
    parseOnce(bytes, () =>
      createPublicKey({ key: Buffer.concat([PUBLIC_KEY_PREFIX, bytes]), format: 'der', type: 'spki' }),
    )
  return {
    keyPair(seed) {
      if (seed.length !== SEED_BYTES) throw new RangeError('The seed of a signing key has 32 bytes')
      const exported = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' })
      const raw = Buffer.from(exported.subarray(PUBLIC_KEY_PREFIX.length))
      return { seed, secret: Buffer.concat([seed, raw]), publicKey: raw }
    },
    sign: (message, pair) => nodeSign(null, message, privateKey(pair.seed)),
    verify(signature, message, bytes) {
      if (signature.length !== SIGNATURE_BYTES || bytes.length !== PUBLIC_KEY_BYTES) return false
      return nodeVerify(null, message, publicKey(bytes), signature)
    },
  }
}

function load(): Ed25519 {
  try {
    return fromSodium(createRequire(import.meta.url)('sodium-native') as Sodium)
  } catch {
    // No binary for this platform.
    return fromNodeCrypto()
  }
}

export const ed25519: Ed25519 = load()
