import { expect, test } from 'vitest'
import { judgeInvite } from './invite-permissions.ts'

const bob = '@bob:b.test'

test.each([
  [{}, 'allow'],
  [{ blocked_users: [bob] }, 'block'],
  [{ ignored_users: [bob] }, 'ignore'],
  [{ blocked_servers: ['b.*'] }, 'block'],
  [{ blocked_users: ['@b?b:*'] }, 'block'],
  [{ allowed_users: [bob], blocked_servers: ['*'] }, 'allow'],
  [{ blocked_users: [bob], allowed_servers: ['b.test'] }, 'block'],
  [{ allowed_users: [bob], ignored_users: [bob], blocked_users: [bob] }, 'allow'],
  [{ ignored_users: [bob], blocked_users: [bob] }, 'ignore'],
  [{ blocked_users: null, blocked_servers: 5 }, 'allow'],
  [{ blocked_users: [5, '', '@carol:b.test'] }, 'allow'],
] as const)('%j: %s', (lists, verdict) => {
  expect(judgeInvite({ config: undefined, lists }, bob)).toBe(verdict)
})

test('who blocks all invites blocks them whatever the lists say', () => {
  const lists = { allowed_users: [bob] }
  expect(judgeInvite({ config: { default_action: 'block' }, lists }, bob)).toBe('block')
  expect(judgeInvite({ config: {}, lists }, bob)).toBe('allow')
})

test('hostile patterns end', () => {
  const lists = { blocked_users: Array.from({ length: 2_000 }, () => `${'*?'.repeat(120)}!`) }
  const start = performance.now()
  judgeInvite({ config: undefined, lists }, `@${'a'.repeat(200)}:b.test`)
  expect(performance.now() - start).toBeLessThan(1_000)
})
