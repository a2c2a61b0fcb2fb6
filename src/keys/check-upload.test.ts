import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import { checkCrossSigningKey } from './check-cross-signing-key.ts'
import { checkDeviceKeys, checkFallbackKeys, checkOneTimeKeys } from './check-upload.ts'
import { deviceSignaturesOn } from './device-signatures.ts'
import { crossSigning, oneTimeKeys, publicKeyOf, signedDeviceKeys } from './fixtures.ts'
import { parseKeyId, signaturesBy, unsignedText } from './key-json.ts'

const device = { userId: '@alice:a.test' as UserId, deviceId: 'DEVICE' }

/** Replaces one value somewhere in an object by another. */
function mutated(object: object, path: number[], value: unknown): unknown {
  const copy = structuredClone(object)
  let node = copy as { [key: string]: unknown }
  for (const [depth, step] of path.entries()) {
    const keys = Object.keys(node)
    const key = keys[step % Math.max(keys.length, 1)]
    if (key === undefined) break
    const child = node[key]
    if (depth === path.length - 1 || typeof child !== 'object' || child === null) {
      node[key] = value
      break
    }
    node = child as { [key: string]: unknown }
  }
  return copy
}

const changes = fc.tuple(fc.array(fc.nat(10), { minLength: 1, maxLength: 4 }), fc.jsonValue())

/** Whatever a client sends, the answer is one for clients. */
function neverBreaks(check: (value: unknown) => unknown, base: object): void {
  const tryIt = (value: unknown): void => {
    try {
      check(value)
    } catch (error) {
      expect(error).toBeInstanceOf(MatrixError)
    }
  }
  fc.assert(fc.property(fc.jsonValue(), tryIt))
  fc.assert(fc.property(changes, ([path, value]) => tryIt(mutated(base, path, value))))
}

describe('whatever is uploaded, the answer is one for clients', () => {
  test('device keys', () => neverBreaks((keys) => checkDeviceKeys(device, keys), signedDeviceKeys(device)))
  test('one-time keys', () => neverBreaks((keys) => checkOneTimeKeys('k', keys), oneTimeKeys(device, 3)))
  test('fallback keys', () => neverBreaks((keys) => checkFallbackKeys('k', keys), oneTimeKeys(device, 1)))
  test('cross-signing keys', () => {
    const { body } = crossSigning(device.userId, 'alice')
    neverBreaks((key) => checkCrossSigningKey('k', key, 'self_signing', device.userId), body.self_signing_key)
  })
})

test('a change of signed device keys is noticed', () => {
  const keys = signedDeviceKeys(device, { more: { a: 1 } })
  expect(checkDeviceKeys(device, keys).content).toBe(unsignedText(keys))
  for (const change of [{ algorithms: [] }, { more: { a: 2 } }, { another: true }]) {
    expect(() => checkDeviceKeys(device, { ...keys, ...change })).toThrow(
      expect.objectContaining({ errcode: 'M_INVALID_SIGNATURE' }),
    )
  }
  // What is not signed may change.
  expect(() => checkDeviceKeys(device, { ...keys, unsigned: { anything: 1 } })).not.toThrow()
})

test('signing a one-time key again makes no other key of it, another value does', () => {
  const keys = oneTimeKeys(device, 1)
  const [id, key] = Object.entries(keys)[0] as [string, { key: string }]
  const digestOf = (value: object) => checkOneTimeKeys('k', { [id]: value })[0]!.digest.toString('hex')
  expect(digestOf({ ...key, signatures: { '@a:b': { 'ed25519:C': 'other' } } })).toBe(digestOf(key))
  expect(digestOf({ ...key, key: 'AAAA' })).not.toBe(digestOf(key))
})

test('signatures by devices nobody knows are left out, wrong ones are refused', () => {
  const { body } = crossSigning(device.userId, 'alice')
  const keys = signedDeviceKeys(device)
  const known = new Map([[device.deviceId, unsignedText(keys)]])
  const signedBy = (keyId: string) => ({ ...body.master_key, signatures: { [device.userId]: { [keyId]: 'c2ln' } } })
  expect(deviceSignaturesOn(signedBy('ed25519:OTHER'), device.userId, known).size).toBe(0)
  expect(() => deviceSignaturesOn(signedBy('ed25519:DEVICE'), device.userId, known)).toThrow(MatrixError)
  expect(() => deviceSignaturesOn(signedBy('curve25519:DEVICE'), device.userId, known)).toThrow(MatrixError)
})

test('key ids', () => {
  expect(parseKeyId('a:b:c')).toEqual({ algorithm: 'a', name: 'b:c' })
  for (const bad of ['', 'a', ':a', 'a:', 'a:\0', `a:${'b'.repeat(255)}`]) expect(parseKeyId(bad)).toBeUndefined()
})

test('what objects inherit is no signature', () => {
  expect(signaturesBy({ signatures: {} }, 'toString').size).toBe(0)
  expect(signaturesBy({}, '__proto__').size).toBe(0)
  expect(publicKeyOf(crossSigning(device.userId, 'a').master)).not.toContain('=')
})
