import type { Context } from '../context.ts'
import type { EventId } from '../matrix/ids.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { HotRoom } from './hot-room.ts'

/** Events that were not accepted, one after the other, that are passed: one extremity too many does no harm. */
const mostSteps = 50

export type BehindRefused = {
  /** The numbers of all events that are followed. */
  readonly passed: ReadonlySet<number>
  /** What is not here of that: events that are not shown do not tell anybody that there is something before them. */
  readonly missing: readonly EventId[]
}

/** What an event follows by its predecessors, also where only events that were not accepted are in between. */
export async function behindRefused(
  ctx: Pick<Context, 'events'>,
  { room }: HotRoom,
  predecessors: readonly (StoredEvent | undefined)[],
): Promise<BehindRefused> {
  const passed = new Set<number>()
  const missing: EventId[] = []
  let open = predecessors.filter((stored) => stored !== undefined)
  for (let steps = 0; open.length > 0 && steps < mostSteps; steps++) {
    for (const { nid } of open) passed.add(nid)
    const refused = open.filter(({ flags }) => (flags & (EventFlags.rejected | EventFlags.softFailed)) !== 0)
    const withEdges = await ctx.events.byNids(
      refused.map(({ nid }) => nid),
      { edges: true },
    )
    const names = withEdges.flatMap(({ event }) => event.prevEvents)
    const stored = (await ctx.events.byIds(names)).filter((one) => one.room === room)
    const placed = stored.filter(({ flags }) => (flags & EventFlags.outlier) === 0)
    const known = new Set(placed.map(({ event }) => event.eventId))
    missing.push(...names.filter((eventId) => !known.has(eventId)))
    open = stored.filter(({ nid }) => !passed.has(nid))
  }
  return { passed, missing }
}
