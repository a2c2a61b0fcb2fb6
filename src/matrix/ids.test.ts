import { describe, expect, test } from 'vitest'
import {
  isCompliantUserId,
  isValidNewLocalpart,
  localpartOf,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  serverNameOf,
} from './ids.ts'

describe('parseServerName', () => {
  test.each([
    'matrix.org',
    'matrix.org:8888',
    '1.2.3.4',
    '1.2.3.4:1234',
    '[1234:5678::abcd]',
    '[1234:5678::abcd]:5678',
    '[::]',
    '[::1]',
    '[::ffff:10.0.0.1]',
    '[1:2:3:4:5:6:7:8]',
    'localhost',
    'MATRIX.org',
    'xn--bcher-kva.example',
    '1.2.3',
    'a'.repeat(255),
  ])('accepts %s', (name) => {
    expect(parseServerName(name)).toBe(name)
  })

  test.each([
    '',
    ':8448',
    'matrix.org:',
    'matrix.org:123456',
    'matrix.org:80a',
    'matrix.org:80:80',
    'matrix.org ',
    'matrix.org\n',
    'matrix_org',
    'mätrix.org',
    'matrix.org/path',
    'user@matrix.org',
    '256.1.1.1',
    '[::1',
    '[]',
    '[::1]x',
    '[::1]8448',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1::2::3]',
    '[:::]',
    '[12345::]',
    '[g::]',
    '[1.2.3.4::]',
    '[::1.2.3.256]',
    '::1',
    '[fe80::1%eth0]',
    'a'.repeat(256),
  ])('refuses %j', (name) => {
    expect(parseServerName(name)).toBeUndefined()
  })
})

describe('parseUserId', () => {
  test.each(['@alice:example.org', '@:example.org', '@Alice Smith😀:example.org:8448', '@a\u0001b:[::1]:80', '@@:e'])(
    'accepts %j',
    (id) => {
      expect(parseUserId(id)).toBe(id)
    },
  )
  test.each([
    '',
    '@',
    '@alice',
    'alice:example.org',
    '@a\0:example.org',
    '@\ud800:example.org',
    '@a:',
    '@a:b:c',
    '#a:b',
  ])('refuses %j', (id) => {
    expect(parseUserId(id)).toBeUndefined()
  })
  test('counts bytes, not characters', () => {
    expect(parseUserId(`@${'a'.repeat(242)}:example.org`)).toBeDefined()
    expect(parseUserId(`@${'a'.repeat(243)}:example.org`)).toBeUndefined()
    expect(parseUserId(`@${'é'.repeat(121)}:example.org`)).toBeDefined()
    expect(parseUserId(`@${'é'.repeat(122)}:example.org`)).toBeUndefined()
  })
})

test('parseRoomId knows both forms', () => {
  expect(parseRoomId('!abc:example.org')).toBe('!abc:example.org')
  expect(parseRoomId(`!${'aB3_-'.repeat(8)}abc`)).toBeDefined()
  expect(parseRoomId('!abc')).toBeUndefined()
  expect(parseRoomId(`!${'a'.repeat(42)}+`)).toBeUndefined()
  expect(parseRoomId('!abc:')).toBeUndefined()
})

test('parseEventId and parseRoomAlias', () => {
  expect(parseEventId('$a:b')).toBe('$a:b')
  expect(parseEventId('$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk')).toBeDefined()
  for (const id of ['$', 'a', '$\0', '$\ud800', `$${'a'.repeat(255)}`]) expect(parseEventId(id)).toBeUndefined()
  expect(parseRoomAlias('#Straße 1:example.org')).toBeDefined()
  for (const id of ['#a', '#a\0:b', '@a:b']) expect(parseRoomAlias(id)).toBeUndefined()
})

test('the parts of identifiers', () => {
  expect(serverNameOf('@a:example.org:8448')).toBe('example.org:8448')
  expect(serverNameOf('!abc')).toBeUndefined()
  expect(localpartOf('@alice:example.org')).toBe('alice')
  expect(localpartOf('@:example.org')).toBe('')
})

test('isValidNewLocalpart', () => {
  expect(isValidNewLocalpart('alice.smith_1=-/+')).toBe(true)
  for (const localpart of ['', 'Alice', 'a b', 'é', 'a:b', 'a\n']) expect(isValidNewLocalpart(localpart)).toBe(false)
})

test('isCompliantUserId', () => {
  expect(isCompliantUserId('@Alice!~:example.org')).toBe(true)
  for (const id of ['@:e', '@a b:e', '@é:e', '@a\n:e'] as const) expect(isCompliantUserId(id)).toBe(false)
})
