import { decodeBase64, encodeBase64 } from './base64.ts'
import { type KeyId, type SigningKey, signingKeyFromSeed } from './signatures.ts'

/** A key that nothing is signed with any more. What it signed before still counts. */
export type RetiredKey = {
  readonly keyId: KeyId
  readonly publicKey: Buffer
  /** Milliseconds since the epoch from which on its signatures do not count. */
  readonly expiredAt: number
}

/** The keys of a domain. The first is the one to sign with; the others of `signing` still count. */
export type DomainKeys = {
  readonly signing: readonly [SigningKey, ...SigningKey[]]
  readonly retired: readonly RetiredKey[]
}

const version = /^[A-Za-z0-9_]+$/

/**
 * Reads a file of lines `ed25519 <version> <seed in base64>`, the form Synapse keeps keys in, and
 * `retired ed25519 <version> <public key in base64> <milliseconds since the epoch>`.
 *
 * Errors: Error that names the line, never its content; one for a file without a key to sign with.
 */
export function parseSigningKeyFile(text: string): DomainKeys {
  const signing: SigningKey[] = []
  const retired: RetiredKey[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const fields = line.trim().split(/\s+/)
    if (fields[0] === '') continue
    const key = parseSigningKey(fields) ?? parseRetiredKey(fields)
    if (key === undefined) {
      throw new Error(`Line ${index + 1} of the signing key file is not "ed25519 <version> <base64 of 32 bytes>"`)
    }
    if ('seed' in key) signing.push(key)
    else retired.push(key)
  }
  const [first, ...others] = signing
  if (first === undefined) throw new Error('The signing key file has no key to sign with')
  return { signing: [first, ...others], retired }
}

function parseSigningKey([algorithm, name, encoded, ...rest]: readonly string[]): SigningKey | undefined {
  const seed = decodeBase64(encoded ?? '')
  const isKey = algorithm === 'ed25519' && version.test(name ?? '') && seed?.length === 32 && rest.length === 0
  return isKey ? signingKeyFromSeed(name!, seed) : undefined
}

function parseRetiredKey([mark, algorithm, name, encoded, expired, ...rest]: readonly string[]):
  | RetiredKey
  | undefined {
  const publicKey = decodeBase64(encoded ?? '')
  const expiredAt = Number(expired)
  const isKey = mark === 'retired' && algorithm === 'ed25519' && version.test(name ?? '') && publicKey?.length === 32
  if (!isKey || !Number.isSafeInteger(expiredAt) || rest.length > 0) return undefined
  return { keyId: `ed25519:${name}`, publicKey, expiredAt }
}

export function formatSigningKeyFile({ signing, retired }: DomainKeys): string {
  return [
    ...signing.map((key) => `ed25519 ${key.version} ${encodeBase64(key.seed)}\n`),
    ...retired.map(
      ({ keyId, publicKey, expiredAt }) =>
        `retired ${keyId.replace(':', ' ')} ${encodeBase64(publicKey)} ${expiredAt}\n`,
    ),
  ].join('')
}

/** With a new key to sign with; those before it still count. */
export function withNewKey({ signing, retired }: DomainKeys, key: SigningKey): DomainKeys {
  return { signing: [key, ...signing], retired }
}

/**
 * Without a key to sign with, whose signatures count until now. Its secret is gone.
 *
 * @param now Milliseconds since the epoch.
 * @returns why not, where that cannot be.
 */
export function withoutKey(
  { signing, retired }: DomainKeys,
  keyId: string,
  now: number,
): DomainKeys | { problem: string } {
  const [first, ...others] = signing
  const key = others.find((one) => one.keyId === keyId)
  if (first.keyId === keyId) return { problem: `${keyId} is the key to sign with: put another in its place first` }
  if (!key) return { problem: `${keyId} is not a key of this domain that still counts` }
  return {
    signing: [first, ...others.filter((one) => one !== key)],
    retired: [{ keyId: key.keyId, publicKey: key.publicKey, expiredAt: now }, ...retired],
  }
}
