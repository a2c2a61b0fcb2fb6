import type { EventId } from '../matrix/ids.ts'
import { relationOf } from '../rooms/relations.ts'
import type { UnreadCounts } from '../rooms/unread.ts'
import { type EventIdFormat, eventIdText } from '../storage/event-codec.ts'
import type { EventFact } from '../storage/facts.ts'
import type { RoomSummaryRow } from '../storage/room-summaries.ts'
import { eventsBetween, type RoomFeed } from './feeds.ts'

/** Unread messages of a thread, by what was read of the thread and, `inMain`, by what was read of the main timeline. */
export type ThreadCount = {
  notify: number
  highlight: number
  inMain: { notify: number; highlight: number }
  /** The position of the newest message. */
  last: number
}

/** A receipt: `threadId` is '' for everything, `main`, or the root of a thread. */
export type ThreadRead = { readonly at: number; readonly threadId: string; readonly readPosition: number }

/**
 * The unread threads of a user in a room up to a position, carried on from memory.
 *
 * A room's counter counts every message, so what belongs to threads has to be taken out of it for the main timeline.
 */
export type ThreadTally = {
  upTo: number
  readonly roots: Map<EventId, ThreadCount>
  /** Receipts that came since and are not in the counts yet. */
  reads: ThreadRead[]
}

export function threadTally(row: Pick<RoomSummaryRow, 'threads' | 'room_version'>, upTo: number): ThreadTally {
  const format = formatOf(row.room_version)
  const roots = new Map<EventId, ThreadCount>()
  for (const thread of row.threads ?? []) {
    const { notify, highlight, last } = thread
    const inMain = { notify: thread.main_notify, highlight: thread.main_highlight }
    roots.set(eventIdText(Buffer.from(thread.root, 'hex'), format), { notify, highlight, inMain, last })
  }
  return { upTo, roots, reads: [] }
}

function formatOf(roomVersion: string): EventIdFormat {
  if (roomVersion === '1' || roomVersion === '2') return 'v1'
  return roomVersion === '3' ? 'v3' : 'v4'
}

/**
 * Takes in what came after the tally up to a position.
 *
 * @returns false when memory does not tell enough, so that the tally has to be read again.
 */
export function advanceTally(tally: ThreadTally, feed: RoomFeed | undefined, userNid: number, upTo: number): boolean {
  const news = [
    ...(feed ? eventsBetween(feed, tally.upTo, upTo) : []).map((fact) => ({
      at: fact.position,
      fact,
      read: undefined,
    })),
    ...tally.reads.filter(({ at }) => at <= upTo).map((read) => ({ at: read.at, fact: undefined, read })),
  ].sort((one, other) => one.at - other.at)
  if (feed && feed.completeAfter > tally.upTo) return false
  for (const { fact, read } of news) {
    const isKnown = fact ? takeEvent(tally, feed!, fact, userNid) : takeRead(tally, read!)
    if (!isKnown) return false
  }
  tally.reads = tally.reads.filter(({ at }) => at > upTo)
  tally.upTo = Math.max(tally.upTo, upTo)
  return true
}

function takeEvent(tally: ThreadTally, feed: RoomFeed, fact: EventFact, userNid: number): boolean {
  const relation = relationOf(fact.stored.event.pdu.content)
  const root = relation?.relType === 'm.thread' ? relation.eventId : undefined
  if (fact.stored.senderNid === userNid) {
    // Whoever sends has read the main timeline, and the thread where it goes.
    for (const count of tally.roots.values()) count.inMain = { notify: 0, highlight: 0 }
    if (root !== undefined) tally.roots.delete(root)
    return true
  }
  if (root === undefined) return true
  const rise = feed.rises.get(fact.position)
  if (!rise || fact.exceptions === undefined) return false
  const exception = fact.exceptions.find((one) => one.userNid === userNid)
  const notify = rise.notify + (exception?.notify ?? 0)
  const highlight = rise.highlight + (exception?.highlight ?? 0)
  const count = tally.roots.get(root) ?? { notify: 0, highlight: 0, inMain: { notify: 0, highlight: 0 }, last: 0 }
  count.notify += notify
  count.highlight += highlight
  count.inMain = { notify: count.inMain.notify + notify, highlight: count.inMain.highlight + highlight }
  count.last = fact.position
  tally.roots.set(root, count)
  return true
}

/** A receipt within a thread would need the single messages; one at its end does not. */
function takeRead(tally: ThreadTally, { threadId, readPosition }: ThreadRead): boolean {
  for (const [root, count] of tally.roots) {
    if (threadId !== '' && threadId !== 'main' && threadId !== root) continue
    const isAllRead = count.last <= readPosition
    if (threadId === root) {
      if (!isAllRead) return false
      count.notify = 0
      count.highlight = 0
    } else if (threadId === '') {
      if (!isAllRead) return false
      tally.roots.delete(root)
    } else if (isAllRead) count.inMain = { notify: 0, highlight: 0 }
    else if (count.inMain.notify !== 0 || count.inMain.highlight !== 0) return false
  }
  return true
}

/** The unread counts of the main timeline and of each thread, given what the room's counter says of all together. */
export function splitByThread(
  total: UnreadCounts,
  tally: ThreadTally,
): { main: UnreadCounts; threads: ReadonlyMap<EventId, UnreadCounts>; all: UnreadCounts } {
  let { notify, highlight } = total
  let [notifyInThreads, highlightInThreads] = [0, 0]
  const threads = new Map<EventId, UnreadCounts>()
  for (const [root, count] of tally.roots) {
    notify -= count.inMain.notify
    highlight -= count.inMain.highlight
    const own = { notify: Math.max(0, count.notify), highlight: Math.max(0, count.highlight) }
    notifyInThreads += own.notify
    highlightInThreads += own.highlight
    if (own.notify > 0 || own.highlight > 0) threads.set(root, own)
  }
  const main = { notify: Math.max(0, notify), highlight: Math.max(0, highlight) }
  const all = { notify: main.notify + notifyInThreads, highlight: main.highlight + highlightInThreads }
  return { main, threads, all }
}
