import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalBytes, canonicalJson, compareCodePoints } from './canonical-json.ts'
import type { Json } from './json.ts'
import { parseJson } from './strict-json.ts'

describe('the examples of the specification', () => {
  test.each([
    ['{}', '{}'],
    ['{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'],
    ['{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'],
    [
      '{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}',
      '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}',
    ],
    ['{"a": "日本語"}', '{"a":"日本語"}'],
    ['{"本": 2, "日": 1}', '{"日":1,"本":2}'],
    ['{"a": "\\u65E5"}', '{"a":"日"}'],
    ['{"a": null}', '{"a":null}'],
    ['{"a": -0, "b": 1e10}', '{"a":0,"b":10000000000}'],
  ])('%s', (input, output) => {
    expect(canonicalJson(parseJson(input, { integers: 'any' }))).toBe(output)
  })
})

test('orders keys by code point, where UTF-16 would put U+1F600 before U+FFFD', () => {
  expect(canonicalJson({ '\ufffd': 1, '😀': 2, '\ue000': 3, z: 4 })).toBe('{"z":4,"\ue000":3,"\ufffd":1,"😀":2}')
  expect(canonicalJson({ '😀': 2, '\ufffd': 1 })).toBe('{"\ufffd":1,"😀":2}')
  expect(['a😀', 'a\ufffd', 'a'].sort(compareCodePoints)).toEqual(['a', 'a\ufffd', 'a😀'])
})

test('orders keys that look like array indexes as text', () => {
  expect(canonicalJson({ 9: 1, 10: 2, a: 3 })).toBe('{"10":2,"9":1,"a":3}')
})

test('escapes as little as it may', () => {
  expect(canonicalJson({ b: 0, a: '\b\t\n\f\r"\\\u0000\u001f\u007f/\u2028é' })).toBe(
    '{"a":"\\b\\t\\n\\f\\r\\"\\\\\\u0000\\u001f\u007f/\u2028é","b":0}',
  )
})

test('keeps keys that name properties of every object', () => {
  const value = parseJson('{"b":1,"__proto__":{"d":1,"c":2},"constructor":null}')
  expect(canonicalJson(value)).toBe('{"__proto__":{"c":2,"d":1},"b":1,"constructor":null}')
})

test('bytes are UTF-8', () => {
  expect(canonicalBytes({ a: 'é' }).toString('hex')).toBe('7b2261223a22c3a9227d')
})

const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((n) => (n === 0 ? 0 : n)),
    fc.string({ unit: 'binary' }),
    fc.array(tie('value') as fc.Arbitrary<Json>, { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 4 }), tie('value') as fc.Arbitrary<Json>, { maxKeys: 5 }),
  ) as fc.Arbitrary<Json>,
})).value

test('is stable, and independent of the order of keys', () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = canonicalJson(value)
      expect(canonicalJson(parseJson(text))).toBe(text)
      expect(canonicalJson(reversed(value))).toBe(text)
      expect(parseJson(text)).toEqual(parseJson(JSON.stringify(value)))
    }),
  )
})

function reversed(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return (value as readonly Json[]).map(reversed)
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  )
}
