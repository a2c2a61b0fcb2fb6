import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import { createAlarm } from '../pause.ts'
import type { EventDraft } from '../rooms/append-event.ts'
import { sendEvent } from '../rooms/send-event.ts'
import { setState } from '../rooms/set-state.ts'
import {
  cancelOvertaken,
  type DelayedEventRow,
  deleteDelayedEvent,
  dueDelayedEvents,
  nextDelayedEvent,
  takeDelayedEvent,
} from '../storage/delayed-events.ts'
import type { Fact } from '../storage/facts.ts'

/** Sends the events whose time has come. One process of the deployment does, so that each is sent once. */
export type DelayedEvents = {
  /** Something was added, or its time has changed: whichever process sends looks again. */
  changed(): void
  /** Sends one now. @returns false when there is none of that id. */
  send(delayId: string): Promise<boolean>
  start(): void
  /** Resolves once what was under way has ended. */
  close(): Promise<void>
}

type Engine = Pick<Context, 'invalidations' | 'ownership' | 'log' | 'stream'> & Parameters<typeof setState>[0]

/** Milliseconds until the next look when nobody says that there is something new. */
const longestPause = 5_000
/** Milliseconds before what the database did not let through is tried again. */
const retryAfterError = 1_000

/** @param rooms What sending takes; there once the context is complete. */
export function createDelayedEvents(
  ctx: Pick<Context, 'invalidations' | 'ownership' | 'log' | 'stream' | 'database' | 'clock'>,
  rooms: () => Engine,
): DelayedEvents {
  const alarm = createAlarm()
  let running: Promise<void> = Promise.resolve()
  let started = false
  const stop = new AbortController()
  /** Whether any event waits, as far as this process knows: without one nothing can be overtaken. */
  let mayHaveAny = true
  const overtaking = new Set<Promise<unknown>>()

  const changed = (): void => {
    mayHaveAny = true
    alarm.ring()
  }

  const fire = async (delayId: string): Promise<boolean> => {
    const [row] = await ctx.database.read(takeDelayedEvent, [delayId])
    if (!row) return false
    try {
      await deliver(rooms(), row)
    } catch (error) {
      // The sender may no longer do it, say: it is not tried again.
      if (!(error instanceof MatrixError)) throw error
      ctx.log.info({ errcode: error.errcode }, 'A delayed event was not accepted')
    }
    await ctx.database.read(deleteDelayedEvent, [delayId])
    return true
  }

  const run = async (lost: AbortSignal): Promise<void> => {
    const ended = AbortSignal.any([lost, stop.signal])
    while (!ended.aborted) {
      let wait: number
      try {
        const due = await ctx.database.read(dueDelayedEvents, [ctx.clock.now()])
        for (const { delay_id: delayId } of due) if (!ended.aborted) await fire(delayId)
        const [next] = await ctx.database.read(nextDelayedEvent, [])
        wait = Math.min(longestPause, Math.max(0, (next?.send_at ?? Number.POSITIVE_INFINITY) - ctx.clock.now()))
      } catch (error) {
        ctx.log.warn({ err: error }, 'Delayed events are not sent yet')
        wait = retryAfterError
      }
      await alarm.rest(wait, ended)
    }
  }

  /** An event of somebody else for the same key of the state takes the place of what was to come. */
  const overtake = async (facts: readonly Fact[]): Promise<void> => {
    const set = facts.flatMap((fact) => {
      if (fact.kind !== 'event') return []
      const { type, state_key: stateKey, sender } = fact.stored.event.pdu
      return stateKey === undefined ? [] : [{ roomId: fact.roomId, type, stateKey, sender }]
    })
    if (set.length === 0) return
    await ctx.database.read(cancelOvertaken, [
      set.map(({ roomId }) => roomId),
      set.map(({ type }) => type),
      set.map(({ stateKey }) => stateKey),
      set.map(({ sender }) => sender),
    ])
    const [next] = await ctx.database.read(nextDelayedEvent, [])
    if (next?.send_at === null) mayHaveAny = false
  }

  ctx.invalidations.subscribe('delayed-events', changed)
  ctx.stream.follow((facts, { isOurs }) => {
    if (!isOurs || !mayHaveAny || stop.signal.aborted) return
    const work = overtake(facts)
      .catch((error: unknown) => ctx.log.warn({ err: error }, 'Delayed events that were overtaken are still there'))
      .finally(() => overtaking.delete(work))
    overtaking.add(work)
  })

  return {
    changed: () => ctx.invalidations.publish('delayed-events', ''),
    send: fire,
    start() {
      if (started) return
      started = true
      ctx.ownership.claim('delayed events', (lost) => {
        running = running.then(() => run(lost))
      })
    },
    async close() {
      stop.abort()
      await running
      await Promise.all(overtaking)
    },
  }
}

/** The id of the delay is the transaction: an event that was sent before a crash is not sent again. */
async function deliver(ctx: Engine, row: DelayedEventRow): Promise<void> {
  const draft: EventDraft = {
    type: row.type,
    sender: row.user_id,
    content: JSON.parse(row.content) as JsonObject,
    ...(row.sticky_ms !== null && { stickyMs: row.sticky_ms }),
    ...(row.origin_server_ts !== null && { originServerTs: row.origin_server_ts }),
  }
  if (row.state_key !== null) await setState(ctx, row.room_id, { ...draft, stateKey: row.state_key })
  else {
    const transaction = { userNid: row.user_nid, deviceId: '', scope: 'delayed event', txnId: row.delay_id }
    await sendEvent(ctx, row.room_id, draft, transaction)
  }
}
