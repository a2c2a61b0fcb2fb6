import { expect, test } from 'vitest'
import { rangeOf } from './range.ts'

test.each([
  [undefined, undefined],
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=5-', { start: 5, end: 9 }],
  ['bytes=-3', { start: 7, end: 9 }],
  ['bytes=-30', { start: 0, end: 9 }],
  ['bytes=2-400', { start: 2, end: 9 }],
  ['Bytes=2-4', { start: 2, end: 4 }],
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=4-2', undefined],
  ['bytes=-', undefined],
  ['bytes=0-1,3-4', undefined],
  ['bytes=1e3-', undefined],
  ['lines=0-1', undefined],
  [`bytes=${'9'.repeat(40)}-`, undefined],
])('%s of ten bytes', (range, expected) => {
  expect(rangeOf({ range }, 10, '"x"')).toEqual(expected)
})

test('a range of an older content is answered with everything', () => {
  expect(rangeOf({ range: 'bytes=0-1', 'if-range': '"y"' }, 10, '"x"')).toBeUndefined()
  expect(rangeOf({ range: 'bytes=0-1', 'if-range': '"x"' }, 10, '"x"')).toEqual({ start: 0, end: 1 })
})
