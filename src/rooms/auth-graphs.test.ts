import { expect, test } from 'vitest'
import { roomRules } from '../matrix/room-versions.ts'
import { RoomAuthGraph } from './auth-graphs.ts'
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

function topicRef(): EventRef {
  const pdu = { type: 'm.room.topic', state_key: '', content: {} }
  return { nid: 0, kind: 7, senderNid: 1, event: { eventId: '$t', authEvents: [], prevEvents: [], pdu } as never }
}

function graphOfTwo(): RoomAuthGraph {
  const graph = new RoomAuthGraph()
  graph.add(3, 1, [], false)
  graph.add(8, 2, [3], false)
  return graph
}

test('an event is found by its number, and what is not there is an error', () => {
  const graph = graphOfTwo()
  expect([graph.ordinalOf(3), graph.ordinalOf(8)]).toEqual([0, 1])
  expect(() => graph.ordinalOf(5)).toThrow('no event 5')
  expect(() => graph.ordinalOf(9)).toThrow('no event 9')
})

test('an event about to be written gets its number when it is', () => {
  const graph = graphOfTwo()
  const room = emptyRoom()
  const ref = topicRef()
  expect(graph.addUnwritten(room, ref, [3, 8])).toBe(2)
  expect(graph.addUnwritten(room, ref, [3, 8])).toBe(2)
  ref.nid = 12
  graph.settle()
  expect(graph.ordinalOf(12)).toBe(2)
  expect(graph.loadedUpTo).toBe(12)
  expect([...graph.graph.parents(2)]).toEqual([0, 1])
})

test('an event that was not written is never found', () => {
  const graph = graphOfTwo()
  const room = emptyRoom()
  const ref = topicRef()
  graph.addUnwritten(room, ref, [3])
  ref.nid = 12
  room.failed = true
  graph.settle()
  expect(graph.loadedUpTo).toBe(8)
  expect(graph.ordinalOf(8)).toBe(1)
  graph.add(12, 7, [3], false)
  expect(graph.ordinalOf(12)).toBe(3)
})

test('auth events of elsewhere are left out', () => {
  const graph = graphOfTwo()
  graph.add(9, 3, [3, 4, 8], false)
  expect([...graph.graph.parents(2)]).toEqual([0, 1])
})
