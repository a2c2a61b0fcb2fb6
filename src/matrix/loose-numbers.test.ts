import { expect, test } from 'vitest'
import { canonicalJson } from './canonical-json.ts'
import type { Pdu } from './event.ts'
import { contentHash, referenceHash, sha256, signedText } from './hashes.ts'
import type { Json } from './json.ts'
import { roomRules } from './room-versions.ts'
import { parseJson } from './strict-json.ts'

const parse = (text: string) => parseJson(text, { integers: 'any' })

test.each([
  ['9223372036854775807', '9223372036854775807'],
  ['-9007199254740993', '-9007199254740993'],
  ['-0', '0'],
  ['1.0', '1.0'],
  ['-0.0', '-0.0'],
  ['0.0', '0.0'],
  ['50.57', '50.57'],
  ['1e3', '1000'],
  ['1.5E+3', '1500.0'],
  ['-12.345e1', '-123.45'],
  ['1.0e15', '1000000000000000.0'],
  ['1e16', '1e+16'],
  ['1.5e22', '1.5e+22'],
  ['1e100', '1e+100'],
  ['0.0001', '0.0001'],
  ['0.00012345', '0.00012345'],
  ['0.00001', '1e-05'],
  ['1.25e-7', '1.25e-07'],
  ['0.1', '0.1'],
  ['123456789.123456789', '123456789.12345679'],
])('%s is encoded as %s', (source, encoded) => {
  expect(canonicalJson(parse(`{"b":[1,${source}],"a":${source}}`))).toBe(`{"a":${encoded},"b":[1,${encoded}]}`)
  expect(canonicalJson(parse(`[${source}]`))).toBe(`[${encoded}]`)
})

test('a tree without any is encoded as ever', () => {
  expect(canonicalJson(parse('{"b":1,"a":[2]}') as Json)).toBe('{"a":[2],"b":1}')
})

test('hashes cover numbers as they were written, also in what a redaction keeps', () => {
  const content = '{"ban":50.0,"users":{"@a:b":9007199254740993}}'
  const pdu = parse(`{"content":${content},"depth":1,"type":"m.room.power_levels"}`) as unknown as Pdu
  const rules = roomRules('5')
  const text = `{"content":${content},"depth":1,"type":"m.room.power_levels"}`
  expect(contentHash(pdu)).toBe(sha256(text))
  expect(signedText(pdu, rules)).toBe(text)
  expect(referenceHash(pdu, rules)).toBe(sha256(text))
})
