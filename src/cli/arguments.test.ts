import { expect, test } from 'vitest'
import { parseArguments } from './arguments.ts'

test('start is the default', () => {
  expect(parseArguments([])).toMatchObject({ name: 'start', operands: [] })
  expect(parseArguments(['--config', 'x.yaml'])).toMatchObject({ name: 'start', config: 'x.yaml' })
})

test('a command takes its operand and options in any order', () => {
  const expected = { name: 'create-user', operands: ['alice'], admin: true, config: 'x.yaml' }
  expect(parseArguments(['create-user', '--admin', 'alice', '--config', 'x.yaml'])).toMatchObject(expected)
  expect(parseArguments(['--config=x.yaml', 'create-user', 'alice', '--admin'])).toMatchObject(expected)
})

test('--help wins', () => {
  expect(parseArguments(['frobnicate', '--help'])).toBe('help')
})

test.each([
  [['frobnicate'], 'no command "frobnicate"'],
  [['toString'], 'no command "toString"'],
  [['create-user'], 'takes one operand'],
  [['start', 'x'], 'takes no operand'],
  [['--colour'], "Unknown option '--colour'"],
])('%j is refused', (args, message) => {
  expect(() => parseArguments(args)).toThrow(message)
})
