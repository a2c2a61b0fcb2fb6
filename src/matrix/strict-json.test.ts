import { describe, expect, test } from 'vitest'
import { MatrixError } from './errors.ts'
import { containsNul, hasCanonicalNumbers, parseJson, parseJsonBytes } from './strict-json.ts'

function errcodeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    if (error instanceof MatrixError) return error.errcode
    throw error
  }
  return undefined
}

describe('parseJson', () => {
  test.each(['9007199254740992', '-9007199254740992', '1.1', '1.0', '1e3', '1E400', '-0', '1e-1'])(
    'refuses %s',
    (number) => {
      expect(errcodeOf(() => parseJson(`{"a":${number}}`))).toBe('M_BAD_JSON')
      expect(errcodeOf(() => parseJson(number))).toBe('M_BAD_JSON')
    },
  )

  test.each(['0', '-1', '9007199254740991', '-9007199254740991', '123456789012345', '1234567890123456'])(
    'reads %s',
    (number) => {
      expect(parseJson(`[${number}]`)).toEqual([Number(number)])
    },
  )

  test('numbers inside strings are text', () => {
    expect(parseJson('{"1.5":"-0 \\" 1e5","a":"\\\\"}')).toEqual({ '1.5': '-0 " 1e5', a: '\\' })
  })

  test('floats and large integers of old room versions are kept when asked for', () => {
    expect(parseJson('[1.5,1e3,9007199254740993]', { integers: 'any' })).toEqual([1.5, 1000, 9007199254740992])
    expect(errcodeOf(() => parseJson('[1e999]', { integers: 'any' }))).toBe('M_BAD_JSON')
  })

  test.each([
    '',
    '{',
    'NaN',
    'Infinity',
    '-Infinity',
    '[1,]',
    '{"a":1,}',
    '01',
    '-',
    '+1',
    '.5',
    "{'a':1}",
    '\ufeff{}',
    '{}x',
    '"\n"',
    '"a',
  ])('does not take %j for JSON', (text) => {
    expect(errcodeOf(() => parseJson(text))).toMatch(/^M_(NOT|BAD)_JSON$/)
    expect(errcodeOf(() => parseJson(text, { integers: 'any' }))).toBe('M_NOT_JSON')
  })

  test.each(['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"b":{"x":[],"y":{},"x":0}}]', '{"__proto__":1,"__proto__":2}'])(
    'refuses the same key twice: %s',
    (text) => {
      expect(errcodeOf(() => parseJson(text))).toBe('M_BAD_JSON')
    },
  )

  test('keeps keys that name properties of every object', () => {
    const value = parseJson('{"__proto__":{"x":1},"constructor":2,"toString":3,"hasOwnProperty":4}')
    expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
    expect(JSON.stringify(value)).toBe('{"__proto__":{"x":1},"constructor":2,"toString":3,"hasOwnProperty":4}')
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  test.each(['"\\ud800"', '"\\udc00\\ud800"', '{"\\uDBFF":1}', '"\ud800"', '["\\uD800\\u0041"]'])(
    'refuses lone surrogates: %s',
    (text) => {
      expect(errcodeOf(() => parseJson(text))).toBe('M_BAD_JSON')
    },
  )

  test('reads surrogate pairs, however written', () => {
    expect(parseJson('"\\ud83d\\ude00"')).toBe('😀')
    expect(parseJson('"😀"')).toBe('😀')
    expect(parseJson('"\\\\ud800"')).toBe('\\ud800')
    expect(parseJson('"\ud83d\\ude00"')).toBe('😀')
  })

  test('limits the depth, before anything walks the tree', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(parseJson(nested(100))).toBeDefined()
    expect(errcodeOf(() => parseJson(nested(101)))).toBe('M_BAD_JSON')
    expect(errcodeOf(() => parseJson(nested(100_000)))).toBe('M_BAD_JSON')
    expect(errcodeOf(() => parseJson('{"a":'.repeat(100_000)))).toBe('M_BAD_JSON')
    expect(errcodeOf(() => parseJson(nested(3), { maxDepth: 2 }))).toBe('M_BAD_JSON')
  })

  test('limits the number of members', () => {
    const text = `{${Array.from({ length: 1_000_000 }, (_, i) => `"${i}":0`).join(',')}}`
    expect(errcodeOf(() => parseJson(text))).toBe('M_TOO_LARGE')
  })
})

test('containsNul looks at strings and keys at any depth', () => {
  expect(containsNul(parseJson('{"a":["\\u0000"]}'))).toBe(true)
  expect(containsNul(parseJson('{"a":{"\\u0000":1}}'))).toBe(true)
  expect(containsNul(parseJson('{"a":["0",0,null,"\\\\u0000"]}'))).toBe(false)
})

test('hasCanonicalNumbers knows how a number was written', () => {
  const loose = (text: string) => hasCanonicalNumbers(parseJson(text, { integers: 'any' }))
  for (const number of ['1.0', '1e3', '-0', '1.5', '9007199254740992']) {
    expect(loose(`{"a":[{"b":${number}}]}`)).toBe(false)
    expect(loose(`[[${number}]]`)).toBe(false)
  }
  expect(loose('{"a":[{"b":1}],"c":"1.0"}')).toBe(true)
  const [good, bad] = parseJson('[{"a":1},{"a":1.0}]', { integers: 'any' }) as { a: number }[]
  expect([hasCanonicalNumbers(good!), hasCanonicalNumbers(bad!)]).toEqual([true, false])
})

test('parseJsonBytes takes UTF-8 only', () => {
  expect(parseJsonBytes(Buffer.from('{"a":"é😀"}'))).toEqual({ a: 'é😀' })
  for (const bytes of ['22ff22', '22eda08022', 'fffe7b007d00', 'efbbbf7b7d']) {
    expect(errcodeOf(() => parseJsonBytes(Buffer.from(bytes, 'hex')))).toBe('M_NOT_JSON')
  }
})
