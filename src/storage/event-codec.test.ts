import { expect, test } from 'vitest'
import type { Pdu } from '../matrix/event.ts'
import { decodeProof, encodeProof } from './event-codec.ts'

const hash = Buffer.alloc(32, 1)
const signature = Buffer.alloc(64, 2)
const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '')

function signedBy(keyId: string): Pdu {
  return {
    hashes: { sha256: unpadded(hash) },
    signatures: { 'a.test': { [keyId]: unpadded(signature) } },
  } as unknown as Pdu
}

test.each(['ed25519:auto', 'ed25519:'])(
  'a proof by %s comes back as it was, and names the algorithm no more',
  (keyId) => {
    const proof = encodeProof(signedBy(keyId), 'a.test')!
    expect(proof).toHaveLength(32 + 64 + keyId.length - 'ed25519:'.length)
    expect(decodeProof(proof, 'a.test')).toEqual(signedBy(keyId))
  },
)

test.each(['ed25519:a:b', 'rsa:1', 'auto'])('one by %s stays text', (keyId) => {
  expect(encodeProof(signedBy(keyId), 'a.test')).toBeUndefined()
})

test('a proof that was stored with the whole key id is read as well', () => {
  const stored = Buffer.concat([hash, signature, Buffer.from('ed25519:auto')])
  expect(decodeProof(stored, 'a.test')).toEqual(signedBy('ed25519:auto'))
})
