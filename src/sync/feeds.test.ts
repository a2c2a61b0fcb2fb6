import { expect, test } from 'vitest'
import { createCaches } from '../storage/caches.ts'
import type { EventFact, Fact, ReceiptFact } from '../storage/facts.ts'
import type { Stream } from '../storage/stream.ts'
import { createFeeds } from './feeds.ts'

const characters = 10_000

function said(room: number, position: number): EventFact {
  const pdu = { type: 'm.room.message', content: {} }
  const stored = {
    room,
    timeline: position,
    nid: position,
    contentLength: characters,
    event: { eventId: `$${position}`, pdu },
  }
  const room_ = { notifyCount: 0, highlightCount: 0, joinedMembers: 1, invitedMembers: 0 }
  return {
    kind: 'event',
    position,
    roomId: `!${room}`,
    stored,
    changes: [],
    memberships: [],
    room: room_,
  } as unknown as EventFact
}

function read(room: number, position: number): ReceiptFact {
  return { kind: 'receipt', position, room } as ReceiptFact
}

function start(bytesMax: number) {
  let tell: Parameters<Stream['follow']>[0] = () => {}
  const caches = createCaches()
  const stream = { position: 0, follow: (follower: typeof tell) => void (tell = follower) }
  const feeds = createFeeds(stream, caches, bytesMax)
  const bytes = () => caches.figures().find(({ name }) => name === 'feeds')!.bytes!
  return { feeds, bytes, tell: (...facts: Fact[]) => tell(facts, { position: 0, isOurs: true }) }
}

test('feeds that take too much go, those first that nobody asked for the longest', () => {
  const { feeds, bytes, tell } = start(100_000)
  for (const room of [1, 2, 3, 4]) tell(said(room, room))
  expect(feeds.of(1)?.events).toHaveLength(1)
  tell(said(5, 5))
  expect([1, 2, 3, 4, 5].map((room) => feeds.of(room) !== undefined)).toEqual([true, false, true, true, true])
  // Of the room that is gone it is no longer known that nothing happened in it.
  expect(feeds.completeAfter).toBe(2)
  expect(bytes()).toBeLessThan(100_000)
})

test('one feed alone stays, however large; what leaves it is not counted', () => {
  const { feeds, bytes, tell } = start(1)
  for (let position = 1; position <= 200; position++) tell(said(1, position), read(1, position))
  const { events, receipts } = feeds.of(1)!
  expect([events.length, receipts.length]).toEqual([60, 200])
  const of60 = bytes()
  for (let position = 201; position <= 1000; position++) tell(said(1, position), read(1, position))
  expect(feeds.of(1)!.receipts).toHaveLength(500)
  expect(bytes() - of60).toBe(300 * 300)
  feeds.forget('!1')
  expect(bytes()).toBe(0)
})
