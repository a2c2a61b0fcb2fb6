import { expect, test } from 'vitest'
import { compileServerGlobs } from './server-globs.ts'

test('wildcards match, whatever the case', () => {
  const matches = compileServerGlobs(['*.Ministry.example', 'a?.test', 'plain.test'])
  for (const name of ['x.ministry.EXAMPLE', 'ab.test', 'plain.test']) expect(matches(name)).toBe(true)
  for (const name of ['ministry.example', 'abc.test', 'a.plain.test', '']) expect(matches(name)).toBe(false)
})

test('a thousand patterns of stars take no time', () => {
  const matches = compileServerGlobs(new Array(1000).fill(`${'*a'.repeat(40)}*b`))
  expect(matches('a'.repeat(255))).toBe(false)
}, 1000)

test('F40: a thousand patterns with many wildcards take no longer than a moment', () => {
  const isNamed = compileServerGlobs(Array.from({ length: 1_000 }, (_, index) => `*a*a*a*a*b${index}`))
  const server = `${'a'.repeat(250)}.test`
  const times = Array.from({ length: 10 }, () => {
    const begun = performance.now()
    expect(isNamed(server)).toBe(false)
    return performance.now() - begun
  })
  // The quickest: whatever else the machine does, it is not the patterns that take long.
  expect(Math.min(...times)).toBeLessThan(50)
})
