import { expect, test } from 'vitest'
import { edusOf, Passing } from './passing.ts'

const typing = (typing: boolean) => ({ type: 'm.typing', room: '!r:a.test', user: '@alice:a.test', typing }) as const
const read = (eventId: string, threadId = '', user: `@${string}` = '@alice:a.test') =>
  ({ type: 'm.receipt', room: '!r:a.test', user, receipt: { eventId, ts: 1, threadId } }) as const
const presence = (user: `@${string}`, state: string) =>
  ({ type: 'm.presence', user, presence: { presence: state } }) as const

test('of what only the last word counts, that alone waits, and takes its turn anew', () => {
  const passing = new Passing()
  for (const news of [typing(true), read('$1'), read('$2', 'main'), read('$3'), typing(false)]) passing.add(news)
  expect(passing.first(10)).toEqual([read('$2', 'main'), read('$3'), typing(false)])
  expect(passing.first(1)).toEqual([read('$2', 'main')])
})

test('what was said anew while the former word was under way is still to be told', () => {
  const passing = new Passing()
  passing.add(typing(true))
  passing.add(read('$1'))
  const underWay = passing.first(10)
  passing.add(typing(false))
  passing.remove(underWay)
  expect(passing.first(10)).toEqual([typing(false)])
  passing.clear()
  expect(passing.size).toBe(0)
})

test('no more than a bounded number waits', () => {
  const passing = new Passing()
  for (let number = 0; number < 2_000; number++) passing.add(read('$1', '', `@user${number}:a.test`))
  expect(passing.size).toBe(1_000)
})

test('presence is one EDU, receipts are one unless a user has two in a room', () => {
  const edus = edusOf([
    presence('@alice:a.test', 'online'),
    read('$1'),
    presence('@bob:a.test', 'offline'),
    read('$2', '$thread'),
    read('$1', '', '@bob:a.test'),
    typing(true),
  ])
  const inOne = { event_ids: ['$1'], data: { ts: 1 } }
  expect(edus).toEqual([
    { edu_type: 'm.typing', content: { room_id: '!r:a.test', user_id: '@alice:a.test', typing: true } },
    {
      edu_type: 'm.presence',
      content: {
        push: [
          { user_id: '@alice:a.test', presence: 'online' },
          { user_id: '@bob:a.test', presence: 'offline' },
        ],
      },
    },
    { edu_type: 'm.receipt', content: { '!r:a.test': { 'm.read': { '@alice:a.test': inOne, '@bob:a.test': inOne } } } },
    {
      edu_type: 'm.receipt',
      content: {
        '!r:a.test': { 'm.read': { '@alice:a.test': { event_ids: ['$2'], data: { ts: 1, thread_id: '$thread' } } } },
      },
    },
  ])
})
