import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Config, checkConfig } from './config.ts'
import { createSigningKeyFile, keyFileOf, openDomains } from './domains.ts'
import { createFakeRandom } from './testing/fakes.ts'

let config: Config
beforeEach(() => {
  config = checkConfig({
    data_dir: mkdtempSync(join(tmpdir(), 'chappe-domains-')),
    server_names: ['a.test', 'b.test:8448'],
    domains: [{ name: 'a.test', public_baseurl: 'https://matrix.a.test/', hosts: ['chat.a.test'] }],
  })
})
afterEach(() => rmSync(config.data_dir, { recursive: true }))

const random = createFakeRandom('domains')

test('each domain has a key of its own, which stays', () => {
  const domains = openDomains(config, random)
  const [a, b] = domains.all.map((name) => domains.keyOf(name).keyId)
  expect(a).toMatch(/^ed25519:a_[0-9a-f]{6}$/)
  expect(b).not.toBe(a)
  const again = openDomains(config, random)
  expect(again.keyOf('a.test').keyId).toBe(a)
  expect(again.keyOf('a.test').publicKey).toEqual(domains.keyOf('a.test').publicKey)
  expect(statSync(keyFileOf(config, 'a.test')).mode & 0o777).toBe(0o600)
})

test('a host asks for the domain it belongs to, any other for the default', () => {
  const domains = openDomains(config, random)
  expect(domains.default).toBe('a.test')
  expect(domains.isLocal('b.test:8448')).toBe(true)
  expect(domains.isLocal('b.test')).toBe(false)
  for (const host of ['a.test', 'A.TEST', 'matrix.a.test', 'chat.a.test:8008', 'other.test', undefined]) {
    expect(domains.ofHost(host)).toBe('a.test')
  }
  expect(domains.ofHost('b.test:8448')).toBe('b.test:8448')
  expect(domains.baseUrlOf('a.test')).toBe('https://matrix.a.test')
  expect(domains.baseUrlOf('b.test:8448')).toBe('https://b.test:8448')
  expect(() => domains.keyOf('c.test')).toThrow(/not a domain/)
})

test('O08: a key that others can read, or that is none, is refused', () => {
  openDomains(config, random)
  const file = keyFileOf(config, 'a.test')
  chmodSync(file, 0o640)
  expect(() => openDomains(config, random)).toThrow(/open to other users/)
  chmodSync(file, 0o600)
  writeFileSync(file, 'ed25519 a_1 c2hvcnQ\n')
  expect(() => openDomains(config, random)).toThrow(/malformed/)
  writeFileSync(file, '')
  expect(() => openDomains(config, random)).toThrow(/malformed/)
})

test('a key file is never overwritten', () => {
  openDomains(config, random)
  expect(() => createSigningKeyFile(keyFileOf(config, 'a.test'), random)).toThrow(/EEXIST/)
})
