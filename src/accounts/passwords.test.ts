import { expect, test } from 'vitest'
import { checkConfig } from '../config.ts'
import { createFakeRandom } from '../testing/fakes.ts'
import { checkPasswordPolicy, hashPassword, isPassword } from './passwords.ts'

const ctx = {
  config: checkConfig({ passwords: { argon2_memory_kib: 8, argon2_passes: 1 } }),
  random: createFakeRandom('passwords'),
}

test('a hash is a PHC string that tells the right password only', async () => {
  const stored = await hashPassword(ctx, 'correct horse')
  expect(stored).toMatch(/^\$argon2id\$v=19\$m=8,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  expect(await hashPassword(ctx, 'correct horse')).not.toBe(stored)
  expect(await isPassword(ctx, 'correct horse', stored)).toBe(true)
  expect(await isPassword(ctx, 'correct horsf', stored)).toBe(false)
  expect(await isPassword(ctx, '', stored)).toBe(false)
})

test('no hash, no password; not even the one of zeros', async () => {
  expect(await isPassword(ctx, '', null)).toBe(false)
  expect(await isPassword(ctx, 'x', 'nonsense')).toBe(false)
})

test('normal forms are the same password', async () => {
  const stored = await hashPassword(ctx, 'caf\u00e9 \u2075')
  expect(await isPassword(ctx, 'cafe\u0301 5', stored)).toBe(true)
})

test('a hash made with other parameters still counts', async () => {
  const dearer = { ...ctx, config: checkConfig({ passwords: { argon2_memory_kib: 16, argon2_passes: 2 } }) }
  expect(await isPassword(ctx, 'x', await hashPassword(dearer, 'x'))).toBe(true)
})

test.each([
  [{}, 'seven77', /at least 8/],
  [{}, 'x'.repeat(513), /at most 512/],
  [{ require_digit: true }, 'abcdefgh', /digit/],
  [{ require_uppercase: true }, 'abcdefgh', /capital/],
  [{ require_lowercase: true }, 'ABCDEFGH', /lower-case/],
  [{ require_symbol: true }, 'abcdefgh', /symbol/],
])('%j refuses %s', (passwords, password, message) => {
  expect(() => checkPasswordPolicy(checkConfig({ passwords }), password)).toThrow(message)
})
