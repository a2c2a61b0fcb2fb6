import { expect, test } from 'vitest'
import { parseQueryString } from './query-string.ts'

test('parameters in order, repeated ones together', () => {
  const texts = parseQueryString('via=a&via=b%2Fc&empty=&flag&a+b=%40x+y&=z')
  expect(texts.get('via')).toEqual(['a', 'b/c'])
  expect(texts.get('empty')).toEqual([''])
  expect(texts.get('flag')).toEqual([''])
  expect(texts.get('a b')).toEqual(['@x y'])
  expect(texts.get('')).toEqual(['z'])
})

test('names of Object.prototype are names like others', () => {
  const texts = parseQueryString('__proto__=1&constructor=2')
  expect(texts.get('__proto__')).toEqual(['1'])
  expect(parseQueryString('').get('constructor')).toBeUndefined()
})

test.each(['a=%', 'a=%zz', 'a=%ff', 'a=%00'])('%s is refused', (text) => {
  expect(() => parseQueryString(text)).toThrow(/not valid/)
})
