import { expect, test } from 'vitest'
import { createCaches } from './caches.ts'

test('look-ups are counted, and what is only looked at is not', () => {
  const caches = createCaches()
  const cache = caches.lru<string, string>('texts', {
    maxSize: 10,
    sizeCalculation: (text) => text.length,
    sizeIsBytes: true,
  })
  cache.set('a', 'four')
  cache.set('b', 'fives')
  expect([cache.get('a'), cache.get('missing'), cache.peek('b'), cache.has('b')]).toEqual([
    'four',
    undefined,
    'fives',
    true,
  ])
  expect(caches.figures()).toEqual([{ name: 'texts', hits: 1, misses: 1, entries: 2, bytes: 9 }])
  cache.set('c', 'seven..')
  expect(caches.figures()[0]).toMatchObject({ entries: 1, bytes: 7 })
})

test('a cache of another kind counts for itself', () => {
  const caches = createCaches()
  const entries = new Set(['one'])
  const lookUps = caches.counted('entries', () => entries.size)
  lookUps.misses++
  expect(caches.figures()).toEqual([{ name: 'entries', hits: 0, misses: 1, entries: 1, bytes: undefined }])
  expect(() => caches.lru('entries', { max: 1 })).toThrow('two caches')
})
