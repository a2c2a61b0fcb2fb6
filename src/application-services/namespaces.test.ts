import { expect, test } from 'vitest'
import { compileNamespaces } from './namespaces.ts'

test('a pattern matches from the beginning, and needs not reach the end', () => {
  const users = compileNamespaces([
    { exclusive: true, regex: '@_irc_.*' },
    { exclusive: false, regex: '@friend' },
  ])
  expect(users.includes('@_irc_bob:a.test')).toBe(true)
  expect(users.isExclusive('@_irc_bob:a.test')).toBe(true)
  expect(users.includes('@friendly:a.test')).toBe(true)
  expect(users.isExclusive('@friendly:a.test')).toBe(false)
  expect(users.includes('@my@_irc_bob:a.test')).toBe(false)
  expect(compileNamespaces([]).includes('@anybody:a.test')).toBe(false)
})

test('time grows with the length of an identifier and no faster', () => {
  const users = compileNamespaces([{ exclusive: true, regex: '@(a+)+(a|aa)*$' }])
  const started = performance.now()
  expect(users.includes(`@${'a'.repeat(250)}!`)).toBe(false)
  expect(performance.now() - started).toBeLessThan(1000)
})

test.each(['@(unclosed', '@(a)\\1', '@(?=a)', `@${'(a{100}){10}'.repeat(20)}`])('%s is refused', (regex) => {
  expect(() => compileNamespaces([{ exclusive: true, regex }])).toThrow(/linear time|too large/)
})
