import { expect, test } from 'vitest'
import type { RoomEvent } from '../matrix/event.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { byAuthEdges, inOrder } from './store-outliers.ts'

function event(eventId: EventId, authEvents: readonly EventId[], roomId: RoomId = '!r:a.test'): RoomEvent {
  return { eventId, roomId, authEvents, prevEvents: [], pdu: {} } as never
}

function ids(events: readonly RoomEvent[]): EventId[] {
  return events.map(({ eventId }) => eventId)
}

test('auth events come before what cites them', () => {
  const events = [event('$c', ['$b', '$a']), event('$b', ['$a']), event('$a', ['$elsewhere'])]
  expect(ids(byAuthEdges(events))).toEqual(['$a', '$b', '$c'])
})

test('the create event comes first though nobody cites it', () => {
  const roomId = '!create' as const
  const events = [event('$member', [], roomId), event('$create', [], roomId)]
  expect(ids(byAuthEdges(events))).toEqual(['$create', '$member'])
})

test('what is named twice or in a circle comes once', () => {
  const events = [event('$a', ['$b']), event('$b', ['$a', '$a']), event('$a', ['$b'])]
  expect(ids(inOrder(events, ({ authEvents }) => authEvents)).sort()).toEqual(['$a', '$b'])
})

test('a chain of any length needs no stack', () => {
  const events = Array.from({ length: 50_000 }, (_, index) => event(`$${index}`, [`$${index + 1}`]))
  const sorted = byAuthEdges(events)
  expect(sorted).toHaveLength(50_000)
  expect(sorted[0]!.eventId).toBe('$49999')
})
