import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createAllowList } from './allow-list.ts'

function listed(rules: { allow?: string[]; deny?: string[]; dry_run?: boolean }) {
  const lines: string[] = []
  const counted: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) })
  const list = createAllowList(
    { log },
    { barred: (rule, edge, isDryRun) => counted.push(`${rule} ${edge} ${isDryRun}`) },
    { allow: [], deny: [], dry_run: false, ...rules },
  )
  return { list, lines, counted }
}

test('nobody is allowed by an empty list, and deny wins', () => {
  expect(listed({}).list.allows('a.test', 'request')).toBe(false)
  const { list, counted, lines } = listed({ allow: ['*.test'], deny: ['evil.*'] })
  expect(['a.test', 'evil.test', 'b.example'].map((server) => list.allows(server, 'event'))).toEqual([
    true,
    false,
    false,
  ])
  expect(counted).toEqual(['deny event false', 'allow event false'])
  expect(lines).toEqual([])
})

test('a dry run lets everybody through, counts them and logs each once', () => {
  const { list, counted, lines } = listed({ allow: ['a.test'], deny: ['evil.test'], dry_run: true })
  for (let time = 0; time < 2; time++) {
    expect(['a.test', 'b.test', 'evil.test'].map((server) => list.allows(server, 'keys'))).toEqual([true, true, true])
  }
  expect(counted).toEqual(['allow keys true', 'deny keys true', 'allow keys true', 'deny keys true'])
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { server: 'b.test', edge: 'keys', rule: 'allow' },
    { server: 'evil.test', edge: 'keys', rule: 'deny' },
  ])
})

test('the rules are replaced as a whole', () => {
  const { list } = listed({ allow: ['*'] })
  list.replace({ allow: ['b.test'], deny: [], dry_run: false })
  expect([list.allows('a.test', 'request'), list.allows('b.test', 'request')]).toEqual([false, true])
  list.replace({ allow: [], deny: [], dry_run: false })
  expect(list.allows('b.test', 'request')).toBe(false)
})
