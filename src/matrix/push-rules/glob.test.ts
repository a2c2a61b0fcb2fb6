import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileGlob, type MatchingBudget, matchesWhole, matchesWords } from './glob.ts'

const plenty = (): MatchingBudget => ({ left: Number.MAX_SAFE_INTEGER })
const whole = (pattern: string, text: string) => matchesWhole(compileGlob(pattern), text, plenty())
const words = (pattern: string, text: string) => matchesWords(compileGlob(pattern), text, plenty())

test.each([
  ['lunc?*', 'lunch plans', true],
  ['lunc?*', 'lunch', true],
  ['lunc?*', ' lunch', false],
  ['lunc?*', 'lunc', false],
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['*ab', 'abab', true],
  ['?', '😀', true],
  ['a?', 'a😀', true],
  ['*?', '😀', true],
  ['??', '😀', false],
])('the whole of a value: %j against %j', (pattern, text, expected) => {
  expect(whole(pattern, text)).toBe(expected)
})

test.each([
  ['ex*ple', 'an example event.', true],
  ['ex*ple', 'exple', true],
  ['ex*ple', 'an exciting triple-whammy', true],
  ['ex*ple', 'an example_', false],
  ['tea', 'steam', false],
  ['tea', 'steam tea', true],
  ['tea', 'tea_tea', false],
  ['@room', 'hey @room!', true],
  ['foo*', 'a foobar', true],
  ['*bar', 'foobar x', true],
  ['*bar', 'foobarx', false],
  ['a?c', 'xabc abc', true],
  ['a?c', 'xabc', false],
  ['été', 'un été.', true],
])('words of a body: %j against %j', (pattern, text, expected) => {
  expect(words(pattern, text)).toBe(expected)
})

const letters = fc.array(fc.constantFrom('a', 'b', ' ', '?', '*', '😀'), { maxLength: 9 }).map((all) => all.join(''))

/** The same meaning as a regular expression, which is fine in a test. */
function asRegExp(pattern: string): string {
  return [...pattern].map((one) => (one === '*' ? '.*' : one === '?' ? '.' : one)).join('')
}

test('globs mean what the equivalent regular expression means', () => {
  fc.assert(
    fc.property(letters, letters, (pattern, text) => {
      expect(whole(pattern, text)).toBe(new RegExp(`^${asRegExp(pattern)}$`, 'su').test(text))
      const inWords = new RegExp(`(?<![A-Za-z0-9_])${asRegExp(pattern)}(?![A-Za-z0-9_])`, 'su')
      expect(words(pattern, text)).toBe(inWords.test(text))
    }),
    { numRuns: 5000 },
  )
})

test('the budget ends the search', () => {
  const budget = { left: 100_000 }
  expect(matchesWords(compileGlob(`${'a?'.repeat(400)}b`), 'a'.repeat(60_000), budget)).toBe(false)
  expect(budget.left).toBeLessThan(0)
})
