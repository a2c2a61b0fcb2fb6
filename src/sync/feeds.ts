import { LRUCache } from 'lru-cache'
import { redactedEventId } from '../rooms/client-event.ts'
import { relationOf } from '../rooms/relations.ts'
import { type Caches, upTo } from '../storage/caches.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { EventFact, ReceiptFact, StateChangeFact } from '../storage/facts.ts'
import type { Stream } from '../storage/stream.ts'

/** What happened in a room lately, ready to be told. */
export type RoomFeed = {
  readonly room: number
  readonly roomId: string
  /** Everything after this position is here. */
  completeAfter: number
  /** The position of the last thing that anybody in the room is told. */
  last: number
  /** Events in the timeline, oldest first. */
  readonly events: EventFact[]
  /** Changes of the state without an event of the timeline that says so. */
  readonly silentChanges: { position: number; change: StateChangeFact }[]
  readonly receipts: ReceiptFact[]
  /** Events that something newer relates to, so that what is bundled with them has to be looked up. */
  readonly relatedTo: Set<string>
  /** What its events and receipts take in memory: an estimate. */
  bytes: number
  /** By how much the unread counters rose with an event, by position; absent where that is not known. */
  readonly rises: Map<number, { readonly notify: number; readonly highlight: number }>
  notifyCount: number
  highlightCount: number
  joinedMembers: number
  invitedMembers: number
}

/** The feeds of the rooms in which something happened since this process started, the active ones. */
export type Feeds = {
  of(room: number): RoomFeed | undefined
  /** Rooms without a feed have had nothing after this position. */
  readonly completeAfter: number
  /** Forgets what a room's events said: it is no longer what the database has. Without a room, of all of them. */
  forget(roomId: string | undefined): void
}

const feedsMax = 20_000
const eventsPerFeed = 60
/** Of all feeds together: an estimate, as the following are. */
const bytesOfAll = 256 * 1024 * 1024
/** What an event takes beside its content, which is there as an object and mostly as text too. */
const bytesPerEvent = 1_500
const bytesPerCharacter = 2
const bytesPerReceipt = 300
const receiptsPerFeed = 500

/** @param bytesMax What all of them may take; beyond it go those that nobody asked for the longest. */
export function createFeeds(
  stream: Pick<Stream, 'position' | 'follow'>,
  caches: Pick<Caches, 'counted'>,
  bytesMax = bytesOfAll,
): Feeds {
  let completeAfter = stream.position
  let bytes = 0
  const feeds = new LRUCache<number, RoomFeed>({
    ...upTo(feedsMax),
    dispose(feed, _room, reason) {
      // Who asks for it afterwards must not believe that nothing happened.
      if (reason !== 'set') completeAfter = Math.max(completeAfter, feed.last)
      bytes -= feed.bytes
    },
  })

  const lookUps = caches.counted(
    'feeds',
    () => feeds.size,
    () => bytes,
  )

  const open = (room: number, roomId: string, position: number): RoomFeed => {
    const known = feeds.get(room)
    if (known) return known
    const feed: RoomFeed = {
      room,
      roomId,
      completeAfter: Math.max(completeAfter, 0),
      last: position,
      events: [],
      silentChanges: [],
      receipts: [],
      relatedTo: new Set(),
      bytes: 0,
      rises: new Map(),
      notifyCount: 0,
      highlightCount: 0,
      joinedMembers: 0,
      invitedMembers: 0,
    }
    feeds.set(room, feed)
    return feed
  }

  stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind !== 'event' && fact.kind !== 'receipt') continue
      const isEvent = fact.kind === 'event'
      const feed = isEvent ? open(fact.stored.room, fact.roomId, fact.position) : open(fact.room, '', fact.position)
      bytes -= feed.bytes
      if (isEvent) addEvent(feed, fact)
      else addReceipt(feed, fact)
      bytes += feed.bytes
    }
    while (bytes > bytesMax && feeds.size > 1) feeds.pop()
  })

  return {
    of(room) {
      const feed = feeds.get(room)
      if (feed) lookUps.hits++
      else lookUps.misses++
      return feed
    },
    get completeAfter() {
      return completeAfter
    },
    forget(roomId) {
      for (const [room, feed] of feeds.entries()) {
        // One that a receipt has opened does not know the id.
        const id = feed.roomId === '' ? feed.events[0]?.roomId : feed.roomId
        if (roomId === undefined || id === roomId) feeds.delete(room)
      }
    },
  }
}

function addReceipt(feed: RoomFeed, fact: ReceiptFact): void {
  feed.receipts.push(fact)
  feed.bytes += bytesPerReceipt
  feed.last = fact.position
  if (feed.receipts.length <= receiptsPerFeed) return
  feed.completeAfter = Math.max(feed.completeAfter, feed.receipts.shift()!.position)
  feed.bytes -= bytesPerReceipt
}

function addEvent(feed: RoomFeed, fact: EventFact): void {
  if (feed.events.length > 0) {
    const notify = fact.room.notifyCount - feed.notifyCount
    const highlight = fact.room.highlightCount - feed.highlightCount
    feed.rises.set(fact.position, { notify, highlight })
  }
  feed.last = fact.position
  feed.notifyCount = fact.room.notifyCount
  feed.highlightCount = fact.room.highlightCount
  feed.joinedMembers = fact.room.joinedMembers
  feed.invitedMembers = fact.room.invitedMembers
  const inTimeline = fact.stored.timeline !== null
  for (const change of fact.changes) {
    if (inTimeline && change.to?.nid === fact.stored.nid) continue
    feed.silentChanges.push({ position: fact.position, change })
  }
  if (!inTimeline) return
  feed.events.push(fact)
  feed.bytes += bytesOf(fact)
  const redacted = redactedEventId(fact.stored)
  if (redacted !== undefined) forgetRedacted(feed, redacted)
  const relation = relationOf(fact.stored.event.pdu.content)
  if (relation) feed.relatedTo.add(relation.eventId)
  if (feed.events.length > eventsPerFeed) {
    forgetUpTo(feed, feed.events[0]!.position)
    // An event that left the feed is looked up anyway, and its relations with it.
    if (feed.relatedTo.size > 4 * eventsPerFeed) forgetRelations(feed)
  }
}

function bytesOf({ stored }: EventFact): number {
  return bytesPerEvent + bytesPerCharacter * stored.contentLength
}

/** Keeps those of events that the feed still has. */
function forgetRelations(feed: RoomFeed): void {
  const held = new Set<string>(feed.events.map(({ stored }) => stored.event.eventId))
  for (const eventId of feed.relatedTo) if (!held.has(eventId)) feed.relatedTo.delete(eventId)
}

/** What was redacted must be read again from the database, which holds what is left of it. */
function forgetRedacted(feed: RoomFeed, eventId: string): void {
  const holds = (event: StoredEvent | null | undefined): boolean => event?.event.eventId === eventId
  const last = feed.events.findLast(
    ({ stored, replaced, changes }) => holds(stored) || holds(replaced) || changes.some(({ to }) => holds(to)),
  )
  if (last) forgetUpTo(feed, last.position)
}

function forgetUpTo(feed: RoomFeed, position: number): void {
  feed.completeAfter = Math.max(feed.completeAfter, position)
  while (feed.events[0] && feed.events[0].position <= position) {
    const fact = feed.events.shift()!
    feed.bytes -= bytesOf(fact)
    feed.rises.delete(fact.position)
  }
  while (feed.silentChanges[0] && feed.silentChanges[0].position <= position) feed.silentChanges.shift()
}

/** The events of a feed after a position up to another. */
export function eventsBetween(feed: RoomFeed, after: number, upTo: number): EventFact[] {
  const { events } = feed
  let start = events.length
  while (start > 0 && events[start - 1]!.position > after) start--
  let end = events.length
  while (end > start && events[end - 1]!.position > upTo) end--
  return events.slice(start, end)
}

export function storedOf(facts: readonly EventFact[]): StoredEvent[] {
  return facts.map((fact) => fact.stored)
}
