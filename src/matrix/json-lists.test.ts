import fc from 'fast-check'
import { expect, test } from 'vitest'
import { JsonLists } from './json-lists.ts'

const limits = { element: 10_000, rest: 10_000 }

/** The object put together again from what comes out when the text comes in pieces of the given lengths. */
function inPieces(text: string, lists: readonly string[], lengths: readonly number[], given = limits): unknown {
  const bytes = Buffer.from(text)
  const reader = new JsonLists(lists, given)
  const found: { [list: string]: unknown[] } = {}
  let at = 0
  for (let piece = 0; at < bytes.length; piece++) {
    const next = at + (lengths[piece % lengths.length] ?? bytes.length)
    for (const { list, bytes: element } of reader.push(bytes.subarray(at, next))) {
      found[list] = [...(found[list] ?? []), JSON.parse(element.toString())]
    }
    at = next
  }
  return { ...JSON.parse(reader.end().toString()), ...found }
}

test('an object comes apart the same whatever the pieces', () => {
  const list = fc.array(fc.jsonValue(), { minLength: 1, maxLength: 5 })
  const object = fc.record({ state: list, auth_chain: list, other: fc.jsonValue(), '"\\': fc.jsonValue() })
  const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(object, lengths, fc.constantFrom(undefined, 2), (given, pieces, indent) => {
      const text = JSON.stringify(given, null, indent)
      expect(inPieces(text, ['state', 'auth_chain'], pieces)).toEqual(JSON.parse(text))
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['{}', {}],
  ['{"state":[]}', {}],
  ['{"state":5,"n":[1,2]}', { state: 5, n: [1, 2] }],
  [' { "state" : [ 1 , "]" , [ ] ] , "x" : "\\\\" } ', { state: [1, ']', []], x: '\\' }],
  ['{"state":["\\"",{"a":"\\\\\\""}]}', { state: ['"', { a: '\\"' }] }],
])('%s', (text, expected) => {
  for (const length of [1, 2, 3, 1000]) expect(inPieces(text, ['state'], [length])).toEqual(expected)
})

test.each([
  '',
  '[]',
  '{',
  '{"state":[',
  '{"state":[1}',
  '{"state":[1] "x":2}',
  '{"state":[1],"state":[2]}',
  '{"state" [1]}',
  '{}{}',
  '{state:[1]}',
  '{,}',
])('%s is refused', (text) => {
  expect(() => inPieces(text, ['state'], [2])).toThrow('Not an object')
})

test('nothing is kept beyond the limits', () => {
  const large = JSON.stringify({ state: ['x'.repeat(200)] })
  expect(() => inPieces(large, ['state'], [50], { element: 100, rest: 1000 })).toThrow('too large')
  expect(() => inPieces(large, [], [50], { element: 1000, rest: 100 })).toThrow('too large')
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, index])))
  expect(() => inPieces(many, [], [50], { element: 1000, rest: 100 })).toThrow('too large')
  expect(() => inPieces(`{"${'k'.repeat(300)}`, [], [50], { element: 1000, rest: 100 })).toThrow('too large')
})
