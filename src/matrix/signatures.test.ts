import { describe, expect, test } from 'vitest'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { ed25519, fromNodeCrypto } from './ed25519.ts'
import type { Pdu } from './event.ts'
import { contentHash, eventIdOf, hasValidContentHash } from './hashes.ts'
import { roomRules } from './room-versions.ts'
import { signEvent, signingKeyFromSeed, signingKeyIdsOf, signJson, verifyEvent, verifyJson } from './signatures.ts'

const seed = decodeBase64('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1')!
const key = signingKeyFromSeed('1', seed)

/** Spec: Appendices, "Cryptographic Test Vectors". */
describe('the test vectors of the specification', () => {
  test('signing JSON', () => {
    expect(signJson({}, 'domain', key).signatures).toEqual({
      domain: {
        'ed25519:1': 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ',
      },
    })
    expect(signJson({ one: 1, two: 'Two' }, 'domain', key)).toEqual({
      one: 1,
      two: 'Two',
      signatures: {
        domain: {
          'ed25519:1': 'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw',
        },
      },
    })
  })

  test.each([
    {
      name: 'a minimal event',
      event: {
        room_id: '!x:domain',
        sender: '@a:domain',
        origin: 'domain',
        origin_server_ts: 1000000,
        signatures: {},
        hashes: {},
        type: 'X',
        content: {},
        prev_events: [],
        auth_events: [],
        depth: 3,
        unsigned: { age_ts: 1000000 },
      },
      sha256: '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos',
      signature: 'KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg',
    },
    {
      name: 'an event with content that a redaction removes',
      event: {
        content: { body: 'Here is the message content' },
        event_id: '$0:domain',
        origin: 'domain',
        origin_server_ts: 1000000,
        type: 'm.room.message',
        room_id: '!r:domain',
        sender: '@u:domain',
        signatures: {},
        unsigned: { age_ts: 1000000 },
      },
      sha256: 'onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g',
      signature: 'Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA',
    },
  ])('signing $name', ({ event, sha256, signature }) => {
    const rules = roomRules('1')
    const unhashed = event as unknown as Pdu
    expect(contentHash(unhashed)).toBe(sha256)
    const signed = signEvent({ ...unhashed, hashes: { sha256 } }, 'domain', key, rules)
    expect(signed.signatures).toEqual({ domain: { 'ed25519:1': signature } })
    expect(signed.unsigned).toEqual({ age_ts: 1000000 })
    expect(hasValidContentHash(signed)).toBe(true)
    expect(verifyEvent(signed, 'domain', 'ed25519:1', key.publicKey, rules)).toBe(true)
  })
})

describe('verifyJson', () => {
  const signed = signJson({ a: 1, unsigned: { age: 1 } }, 'domain', key)

  test('does not cover unsigned and other signatures', () => {
    const changed = {
      ...signed,
      unsigned: { age: 2 },
      signatures: { ...signed.signatures, other: { 'ed25519:x': '' } },
    }
    expect(verifyJson(changed, 'domain', key.keyId, key.publicKey)).toBe(true)
  })

  test('covers all else', () => {
    expect(verifyJson({ ...signed, a: 2 }, 'domain', key.keyId, key.publicKey)).toBe(false)
    expect(verifyJson({ ...signed, b: 1 }, 'domain', key.keyId, key.publicKey)).toBe(false)
  })

  test.each(['', '!!', 'AAAA', 'K8280'.repeat(17), 'A'.repeat(86)])('a signature %j is not valid', (signature) => {
    const object = { a: 1, signatures: { domain: { 'ed25519:1': signature } } }
    expect(verifyJson(object, 'domain', 'ed25519:1', key.publicKey)).toBe(false)
  })

  test.each([undefined, null, 'x', [], { domain: 'x' }, { domain: { 'ed25519:1': 1 } }, { other: {} }])(
    'signatures %j are not valid',
    (signatures) => {
      const object = signatures === undefined ? { a: 1 } : ({ a: 1, signatures } as never)
      expect(verifyJson(object, 'domain', 'ed25519:1', key.publicKey)).toBe(false)
      expect(verifyJson(object, 'toString', 'ed25519:1', key.publicKey)).toBe(false)
    },
  )

  test('other keys and names', () => {
    const other = signingKeyFromSeed('1', Buffer.alloc(32, 7))
    expect(verifyJson(signed, 'domain', key.keyId, other.publicKey)).toBe(false)
    expect(verifyJson(signed, 'domain', key.keyId, Buffer.alloc(31))).toBe(false)
    expect(verifyJson(signed, 'domain', key.keyId, Buffer.alloc(32))).toBe(false)
    expect(verifyJson(signed, 'elsewhere', key.keyId, key.publicKey)).toBe(false)
    expect(verifyJson(signed, 'domain', 'ed25519:2', key.publicKey)).toBe(false)
  })
})

test('a second signature is added to the first, whatever the name', () => {
  const once = signJson({ a: 1 }, 'domain', key)
  const twice = signJson(once, '__proto__', signingKeyFromSeed('2', seed))
  expect(Object.keys(twice.signatures)).toEqual(['domain', '__proto__'])
  expect(verifyJson(twice, 'domain', 'ed25519:1', key.publicKey)).toBe(true)
  expect(verifyJson(twice, '__proto__', 'ed25519:2', key.publicKey)).toBe(true)
  expect(signingKeyIdsOf({ signatures: { domain: { 'ed25519:1': '', 'rsa:1': '' } } }, 'domain')).toEqual(['ed25519:1'])
  expect(signingKeyIdsOf({}, 'domain')).toEqual([])
})

test('node:crypto and libsodium agree', () => {
  const fallback = fromNodeCrypto()
  const message = Buffer.from('message')
  expect(fallback.keyPair(seed)).toEqual(ed25519.keyPair(seed))
  expect(fallback.sign(message, key)).toEqual(ed25519.sign(message, key))
  expect(fallback.verify(ed25519.sign(message, key), message, key.publicKey)).toBe(true)
  expect(fallback.verify(ed25519.sign(message, key), Buffer.from('other'), key.publicKey)).toBe(false)
  expect(fallback.verify(Buffer.alloc(64), message, Buffer.alloc(32))).toBe(false)
  expect(() => fallback.keyPair(Buffer.alloc(31))).toThrow(RangeError)
  expect(() => ed25519.keyPair(Buffer.alloc(33))).toThrow(RangeError)
})

test('base64, with the examples of the specification', () => {
  const examples = { '': '', f: 'Zg', fo: 'Zm8', foo: 'Zm9v', foob: 'Zm9vYg', fooba: 'Zm9vYmE', foobar: 'Zm9vYmFy' }
  for (const [text, encoded] of Object.entries(examples)) {
    expect(encodeBase64(Buffer.from(text))).toBe(encoded)
    expect(decodeBase64(encoded)?.toString()).toBe(text)
  }
  expect(decodeBase64('Zg==')?.toString()).toBe('f')
  expect(decodeBase64('-_-_')).toEqual(decodeBase64('+/+/'))
  for (const text of ['Z', 'Zg=', 'Zg===', '=', 'Z g=', 'Zm9v=', 'é===']) expect(decodeBase64(text)).toBeUndefined()
})

test('event ids by room version', () => {
  const pdu = {
    auth_events: [],
    content: {},
    depth: 1,
    event_id: '$0:domain',
    hashes: { sha256: '' },
    origin_server_ts: 1,
    prev_events: [],
    room_id: '!r:domain',
    sender: '@u:domain',
    signatures: {},
    type: 'X',
  } as unknown as Pdu
  expect(eventIdOf(pdu, roomRules('2'))).toBe('$0:domain')
  const v3 = eventIdOf(pdu, roomRules('3'))
  expect(v3).toMatch(/^\$[A-Za-z0-9+/]{43}$/)
  expect(eventIdOf(pdu, roomRules('4'))).toBe(v3.replaceAll('+', '-').replaceAll('/', '_'))
  expect(eventIdOf({ ...pdu, signatures: { a: { b: 'c' } }, unsigned: {} }, roomRules('3'))).toBe(v3)
})
