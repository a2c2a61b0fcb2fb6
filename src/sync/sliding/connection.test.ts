import { expect, test } from 'vitest'
import { type ConnectionState, decodeConnection, encodeConnection, isSameRoom } from './connection.ts'
import { requiredStateOfPairs } from './required-state.ts'
import { createToldMembers } from './told-members.ts'

test('a state comes back as it was kept, and rooms share their configurations', () => {
  const one = [requiredStateOfPairs([['m.room.member', '$ME']], '@a:b')]
  const other = [requiredStateOfPairs([['*', '*']], '@a:b')]
  const state: ConnectionState = {
    rooms: new Map([
      [7, { upTo: undefined, timelineLimit: 1, required: one, isDirect: false }],
      [3, { upTo: 12, timelineLimit: 20, required: other, isDirect: true }],
      [9, { upTo: undefined, timelineLimit: 1, required: [...one], isDirect: false }],
    ]),
    extensions: new Set(['receipts']),
  }
  const text = encodeConnection(state)
  expect(text.match(/anyType/g)).toHaveLength(2)
  expect(decodeConnection(text)).toEqual(state)
  expect([...decodeConnection(text).rooms.keys()]).toEqual([7, 3, 9])
  expect(isSameRoom(state.rooms.get(7)!, state.rooms.get(9)!)).toBe(true)
  expect(isSameRoom(state.rooms.get(7)!, { ...state.rooms.get(7)!, upTo: 5 })).toBe(false)
})

test('members count as told once the answer that told of them came', () => {
  const told = createToldMembers()
  const none = new Set<number>()
  told.acknowledge(0)
  told.tell(1, new Map([[5, ['@a:b']]]), none)
  expect(told.told(5, '@a:b')).toBe(false)
  // It was lost: the client comes with what it had before.
  told.acknowledge(0)
  expect(told.told(5, '@a:b')).toBe(false)
  told.tell(1, new Map([[5, ['@a:b']]]), none)
  told.acknowledge(1)
  expect(told.told(5, '@a:b')).toBe(true)
  told.tell(2, new Map([[5, ['@c:d']]]), new Set([5]))
  told.acknowledge(2)
  expect([told.told(5, '@a:b'), told.told(5, '@c:d')]).toEqual([false, true])
})
