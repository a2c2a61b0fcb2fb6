import type { Context } from '../src/context.ts'
import type { InvalidationKind } from '../src/invalidation.ts'
import { createAlarm } from '../src/pause.ts'

/** Work that the database says is to be done, so that it goes on after a crash. One process of the deployment does it. */
export type DurableWork = {
  /** Resolves once what was under way has ended. */
  close(): Promise<void>
}

export type DurableWorkOptions<Row> = {
  /** What is owned by whoever does it. */
  readonly name: string
  /** Heard when there is something new to do. */
  readonly heard: InvalidationKind
  /** What is to be done by now. */
  due(): Promise<readonly Row[]>
  /** Of rows with the same key one is worked on at a time. */
  keyOf(row: Row): number
  /** Does it. When it fails it is tried again later. */
  run(row: Row): Promise<void>
  /** What the log says when it fails. */
  readonly failure: string
}

/** Keys that are worked on at a time. */
const atOnce = 10
/** Milliseconds between two looks when nothing is heard. */
const pause = 2_000
/** Milliseconds before what failed is tried again: twice as long each time. */
const firstPatience = 1_000
const longestPatience = 10 * 60_000

export function createDurableWork<Row>(ctx: Context, options: DurableWorkOptions<Row>): DurableWork {
  const { name, heard, due, keyOf, run, failure } = options
  const stop = new AbortController()
  const alarm = createAlarm()
  /** What failed, and when it is tried again. */
  const later = new Map<number, { at: number; patience: number }>()
  let running: Promise<void> = Promise.resolve()
  ctx.invalidations.subscribe(heard, () => alarm.ring())
  // What failed may have failed because of a server that is back.
  ctx.invalidations.subscribe('destinations', () => {
    later.clear()
    alarm.ring()
  })

  const attempt = async (row: Row): Promise<void> => {
    const key = keyOf(row)
    try {
      await run(row)
      later.delete(key)
    } catch (error) {
      const patience = Math.min(longestPatience, 2 * (later.get(key)?.patience ?? firstPatience / 2))
      later.set(key, { at: ctx.clock.monotonic() + patience, patience })
      ctx.log.warn({ err: error, row }, failure)
    }
  }

  const work = async (lost: AbortSignal): Promise<void> => {
    const ended = AbortSignal.any([lost, stop.signal])
    const underWay = new Map<number, Promise<void>>()
    while (!ended.aborted) {
      const rows = await due().catch(() => [])
      for (const row of rows) {
        const key = keyOf(row)
        const isLater = (later.get(key)?.at ?? 0) > ctx.clock.monotonic()
        if (underWay.size >= atOnce || underWay.has(key) || isLater) continue
        const one = attempt(row).then(() => {
          underWay.delete(key)
          // Others may wait for their turn, or there was something new for this one meanwhile.
          alarm.ring()
        })
        underWay.set(key, one)
      }
      await alarm.rest(pause, ended)
    }
    await Promise.all(underWay.values())
  }

  ctx.ownership.claim(name, (lost) => {
    running = running.then(() => work(lost))
  })
  return {
    async close() {
      stop.abort()
      await running
    },
  }
}
