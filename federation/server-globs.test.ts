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
