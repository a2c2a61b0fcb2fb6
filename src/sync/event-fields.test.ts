import { expect, test } from 'vitest'
import { onlyFields } from './event-fields.ts'

const event = {
  type: 'm.room.message',
  event_id: '$1',
  sender: '@a:b',
  origin_server_ts: 1,
  content: { body: 'text', msgtype: 'm.text', 'a.b': 1, deep: { one: 1, two: 2 }, list: [1] },
  unsigned: { age: 5 },
}

function picked(...fields: string[]): unknown {
  return JSON.parse(onlyFields(fields)(JSON.stringify(event)))
}

test('fields, their fields, and what is escaped', () => {
  const { content, unsigned: _, ...frame } = event
  expect(picked()).toEqual({ ...frame, content: {} })
  expect(picked('content.body')).toEqual({ ...frame, content: { body: 'text' } })
  expect(picked('content')).toEqual({ ...frame, content })
  expect(picked('content.body', 'content')).toEqual({ ...frame, content })
  expect(picked('content.deep.one', 'unsigned.age')).toEqual({
    ...frame,
    content: { deep: { one: 1 } },
    unsigned: { age: 5 },
  })
  expect(picked('content.a\\.b')).toEqual({ ...frame, content: { 'a.b': 1 } })
  expect(picked('content.list.0', 'unsigned.nothing', 'nothing.at.all')).toEqual({ ...frame, content: {} })
  expect(picked('__proto__.x', '')).toEqual({ ...frame, content: {} })
})
