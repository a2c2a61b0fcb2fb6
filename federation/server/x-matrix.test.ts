import { expect, test } from 'vitest'
import { parseXMatrix } from './x-matrix.ts'

test('the header is read with and without quotes, in any order', () => {
  const parsed = { origin: 'a.test:1', destination: 'b.test', key: 'ed25519:k', sig: 'abc+/' }
  expect(parseXMatrix('X-Matrix origin="a.test:1",destination="b.test",key="ed25519:k",sig="abc+/"')).toEqual(parsed)
  expect(parseXMatrix('x-matrix sig=abc+/, key="ed25519:k", origin=a.test:1, destination=b.test')).toEqual(parsed)
})

test.each([
  undefined,
  '',
  'Bearer x',
  'X-Matrix origin=a',
  'X-Matrix origin=a,origin=b,key=c,sig=d',
  'X-Matrix origin="a,key=c,sig=d',
])('%s is none', (header) => {
  expect(parseXMatrix(header)).toBeUndefined()
})
