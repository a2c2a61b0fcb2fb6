import { expect, test } from 'vitest'
import { stateKeyOf, typeAndStateKeyOf } from './state-map.ts'

test.each([
  ['m.room.member', '@a:b'],
  ['', ''],
  ['a:b', ':'],
  ['1:x', '2:y'],
  ['\u0000', '\u0000'],
])('%j %j', (type, stateKey) => {
  expect(typeAndStateKeyOf(stateKeyOf(type, stateKey))).toEqual([type, stateKey])
})

test('no two pairs share a key', () => {
  expect(stateKeyOf('a:', 'b')).not.toBe(stateKeyOf('a', ':b'))
  expect(stateKeyOf('a\u0000b', 'c')).not.toBe(stateKeyOf('a', 'b\u0000c'))
})
