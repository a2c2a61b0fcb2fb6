import type { Context } from '../context.ts'
import type { JsonObject } from '../matrix/json.ts'
import { pause } from '../pause.ts'
import {
  beginIndexing,
  dropSearchIndex,
  eventsToIndex,
  indexedDownTo,
  insertOldSearchable,
  lexemesOf,
  noteIndexed,
  searchKeyCodes,
} from '../storage/searchable-events.ts'
import { searchableWords } from './searchable.ts'

/**
 * Brings in what was said before the search was switched on, newest first, and forgets everything when it is off. One
 * process of the deployment does it; what is said from then on the writer brings in.
 */
export type SearchIndex = {
  start(): void
  /** Begins no further portion, and waits for the one under way. */
  close(): Promise<void>
}

const ownedName = 'search index'
/** Events of one portion. */
const portion = 1000
/** Milliseconds before the next attempt when the database did not let one through. */
const retryAfter = 5000

type Engine = Pick<Context, 'config' | 'database' | 'ownership' | 'closing' | 'log'>

export function createSearchIndex(ctx: Engine): SearchIndex {
  let started = false
  let running: Promise<void> = Promise.resolve()

  async function work(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      try {
        if (!ctx.config.search.enabled) return await ctx.database.transaction(dropSearchIndex)
        return await bringIn(ctx, stop)
      } catch (error) {
        if (stop.aborted) return
        ctx.log.warn({ err: error }, 'The search index waits for the database')
        await pause(retryAfter, stop)
      }
    }
  }

  return {
    start() {
      if (started) return
      started = true
      ctx.ownership.claim(ownedName, (lost) => {
        running = work(AbortSignal.any([lost, ctx.closing]))
      })
    },
    close: () => running,
  }
}

async function bringIn(ctx: Engine, stop: AbortSignal): Promise<void> {
  await ctx.database.read(beginIndexing, [])
  const [progress] = await ctx.database.read(indexedDownTo, [])
  for (let below = progress!.below; below > 0 && !stop.aborted; ) {
    const events = await ctx.database.read(eventsToIndex, [below, portion])
    const rows = events.flatMap(({ event_nid: nid, room, type, content }) => {
      const found = content === null ? undefined : searchableWords({ type, content: JSON.parse(content) as JsonObject })
      return found ? { nid, key: searchKeyCodes[found.key], words: lexemesOf(room, found.words) } : []
    })
    const columns = [rows.map(({ nid }) => nid), rows.map(({ key }) => key), rows.map(({ words }) => words)]
    await ctx.database.read(insertOldSearchable, columns)
    below = events.length < portion ? 0 : events.at(-1)!.event_nid
    await ctx.database.read(noteIndexed, [below])
  }
}
