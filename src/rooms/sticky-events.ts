import type { Context } from '../context.ts'
import { MAX_STICKY_EVENTS } from '../matrix/limits.ts'
import { stickyUntil } from '../matrix/sticky.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { EventFact } from '../storage/facts.ts'
import { deleteStickyEvents, lastingStickyEvents } from '../storage/sticky-events.ts'
import { clientEventText } from './client-event.ts'

type Entry = { readonly nid: number; readonly position: number; readonly expiresAt: number }

/**
 * The sticky events of all rooms while they last, an hour at most: all of them are in memory, by their numbers.
 *
 * Spec: MSC4354.
 *
 * @TODO look again at events that were soft-failed when the membership of their sender changes.
 */
export type StickyEvents = {
  /** Those of a room after a position, in the order of the timeline. */
  in(room: number, after: number, upTo: number): readonly Entry[]
  close(): Promise<void>
}

const forgetEvery = 10 * 60 * 1000

export async function createStickyEvents(
  ctx: Pick<Context, 'clock' | 'database' | 'log' | 'stream'>,
): Promise<StickyEvents> {
  const rooms = new Map<number, Entry[]>()
  const add = (room: number, entry: Entry): void => {
    const now = ctx.clock.now()
    const lasting = (rooms.get(room) ?? []).filter(({ nid, expiresAt }) => expiresAt > now && nid !== entry.nid)
    rooms.set(room, [...lasting, entry].slice(-MAX_STICKY_EVENTS))
  }
  const follow = ({ stored, position }: EventFact): void => {
    const now = ctx.clock.now()
    const expiresAt = stickyUntil(stored.event.pdu, now)
    if (expiresAt > now) add(stored.room, { nid: stored.nid, position, expiresAt })
  }
  const early: EventFact[] = []
  let isLoaded = false
  ctx.stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind !== 'event') continue
      if (isLoaded) follow(fact)
      else early.push(fact)
    }
  })
  for (const row of await ctx.database.read(lastingStickyEvents, [ctx.clock.now()])) {
    add(row.room, { nid: row.event_nid, position: row.position, expiresAt: row.expires_at })
  }
  for (const fact of early) follow(fact)
  isLoaded = true

  let forgetting: Promise<unknown> = Promise.resolve()
  const forget = (): void => {
    const now = ctx.clock.now()
    for (const [room, entries] of rooms) if (!entries.some(({ expiresAt }) => expiresAt > now)) rooms.delete(room)
    forgetting = ctx.database
      .read(deleteStickyEvents, [now])
      .catch((error: unknown) => ctx.log.warn({ err: error }, 'Old sticky events could not be deleted'))
  }
  const timer = setInterval(forget, forgetEvery)
  timer.unref()

  return {
    in(room, after, upTo) {
      const now = ctx.clock.now()
      const entries = rooms.get(room) ?? []
      return entries.filter(({ position, expiresAt }) => position > after && position <= upTo && expiresAt > now)
    },
    async close() {
      clearInterval(timer)
      await forgetting
    },
  }
}

/**
 * The texts of sticky events for somebody who is joined: whatever the history's visibility. What was redacted is sticky no
 * more.
 */
export async function describeSticky(
  ctx: Pick<Context, 'clock' | 'events'>,
  entries: readonly Entry[],
  ignored: ReadonlySet<string>,
): Promise<Map<number, string>> {
  if (entries.length === 0) return new Map()
  const now = ctx.clock.now()
  const isShown = ({ event }: StoredEvent): boolean =>
    stickyUntil(event.pdu, now) > now && !ignored.has(event.pdu.sender)
  const stored = (await ctx.events.byNids(entries.map(({ nid }) => nid))).filter(isShown)
  return new Map(stored.map((event) => [event.nid, clientEventText(event, { now, membership: 'join' })]))
}
