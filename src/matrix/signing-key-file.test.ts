import { expect, test } from 'vitest'
import { signingKeyFromSeed } from './signatures.ts'
import { formatSigningKeyFile, parseSigningKeyFile, withNewKey, withoutKey } from './signing-key-file.ts'

const own = 'ed25519 a_1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\n'
const keys = parseSigningKeyFile(`\n${own}`)
const next = signingKeyFromSeed('a_2', Buffer.alloc(32, 2))

test('a file with one key', () => {
  expect(keys.signing.map(({ keyId }) => keyId)).toEqual(['ed25519:a_1'])
  expect(keys.signing[0].publicKey).toEqual(
    signingKeyFromSeed('1', Buffer.from('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1', 'base64')).publicKey,
  )
  // The two bits after the last byte of the seed are not kept.
  expect(formatSigningKeyFile(keys)).toBe(own.replace('XA1', 'XA0'))
})

test('what is no key file', () => {
  for (const line of [
    'rsa a_1 AAAA',
    'ed25519 a_1',
    'ed25519 a_1 AAAA',
    'ed25519 a:1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1',
    'retired ed25519 a_1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1',
    'retired ed25519 a_1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1 soon',
    'retired ed25519 a_1 AAAA 17',
  ]) {
    expect(() => parseSigningKeyFile(line), line).toThrow('Line 1')
  }
  for (const text of ['', 'retired ed25519 a_1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0 17']) {
    expect(() => parseSigningKeyFile(text), text).toThrow('no key to sign with')
  }
})

test('a new key, and the end of the former one, whose secret is gone', () => {
  const rotated = withNewKey(keys, next)
  expect(rotated.signing.map(({ keyId }) => keyId)).toEqual(['ed25519:a_2', 'ed25519:a_1'])
  const revoked = withoutKey(rotated, 'ed25519:a_1', 1_700_000_000_000)
  if ('problem' in revoked) throw new Error(revoked.problem)
  const { publicKey } = keys.signing[0]
  expect(revoked.retired).toEqual([{ keyId: 'ed25519:a_1', publicKey, expiredAt: 1_700_000_000_000 }])
  const text = formatSigningKeyFile(revoked)
  expect(text).not.toContain('YJDBA9Xnr2')
  expect(parseSigningKeyFile(text)).toEqual(revoked)
})

test('the key to sign with is not taken away, nor what is none', () => {
  const rotated = withNewKey(keys, next)
  for (const [keyId, problem] of [
    ['ed25519:a_2', /in its place first/],
    ['ed25519:a_3', /not a key of this domain/],
  ] as const) {
    expect(withoutKey(rotated, keyId, 1)).toEqual({ problem: expect.stringMatching(problem) })
  }
})
