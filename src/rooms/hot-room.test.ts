import { expect, test } from 'vitest'
import { roomRules } from '../matrix/room-versions.ts'
import { type EventRef, HotRoom } from './hot-room.ts'

function emptyRoom(): HotRoom {
  const row = {
    room: 1,
    room_id: '!a:a.test' as const,
    room_version: '10',
    version: 1,
    notify_count: 0,
    highlight_count: 0,
    joined_members: 0,
    invited_members: 0,
    depth: 0,
    partial_state: false,
  }
  return new HotRoom(row, [], roomRules('10'))
}

const ref = { nid: 0, kind: 1, senderNid: 1, event: { eventId: '$a' } } as unknown as EventRef

test('who holds a room waits for what is on its way, and the next waits for the first', async () => {
  const room = emptyRoom()
  const order: string[] = []
  const endWrite = room.beginWrite([ref])
  const first = room.hold().then((release) => {
    order.push('first')
    return release
  })
  const second = room.hold().then((release) => {
    order.push('second')
    return release
  })
  const released = room.released().then(() => order.push('released'))
  expect(room.isHeld).toBe(true)
  order.push('written')
  endWrite()
  const releaseFirst = await first
  order.push('done')
  releaseFirst()
  const releaseSecond = await second
  expect(room.isHeld).toBe(true)
  releaseSecond()
  await released
  expect(room.isHeld).toBe(false)
  expect(order).toEqual(['written', 'first', 'done', 'second', 'released'])
})

test('an event is known as unwritten until its unit has ended', () => {
  const room = emptyRoom()
  const endWrite = room.beginWrite([ref])
  expect(room.unwritten.get('$a')).toBe(ref)
  endWrite()
  expect(room.unwritten.size).toBe(0)
})

test('a room sets no memory aside for state that it does not have', () => {
  const before = process.memoryUsage().arrayBuffers
  const rooms = Array.from({ length: 1000 }, emptyRoom)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(rooms.length * 1024)
})
