import { expect, test } from 'vitest'
import { objectionTo, type PolicyRules } from './judge-event.ts'

const rules: PolicyRules = { refused_message_types: ['m.image'], refused_texts: ['Buy Now'], max_mentions: 2 }
const mentioning = (count: number) => ({
  'm.mentions': { user_ids: Array.from({ length: count }, (_, index) => `@u${index}:a.test`) },
})

test('without rules everything is recommended', () => {
  const none = { refused_message_types: [], refused_texts: [] }
  expect(objectionTo({ msgtype: 'm.image', body: 'buy now', ...mentioning(99) }, none)).toBeUndefined()
})

test('types of messages, mentions and texts wherever they are', () => {
  for (const content of [
    { msgtype: 'm.image', body: 'x' },
    mentioning(3),
    { body: 'please BUY  now'.replace('  ', ' ') },
    { body: 'x', formatted_body: '<b>búy now</b>' },
    { 'm.new_content': { list: [1, null, { deep: 'bUy NoW!' }] } },
  ]) {
    expect(objectionTo(content, rules), JSON.stringify(content)).toEqual(expect.any(String))
  }
  for (const content of [
    { msgtype: 'm.text', body: 'buy' },
    mentioning(2),
    { 'm.mentions': { user_ids: 'buy' } },
    { 'm.mentions': null },
    {},
  ]) {
    expect(objectionTo(content, rules), JSON.stringify(content)).toBeUndefined()
  }
})
