import type { Context } from '../context.ts'
import { describeSticky } from '../rooms/sticky-events.ts'
import type { RoomTimeline } from './room-timelines.ts'
import type { Session } from './sessions.ts'

/**
 * The sticky events of rooms that a sync does not show in their timelines, as texts by room. Without any there is nothing to
 * be read.
 *
 * Spec: MSC4354, "Current /sync": who comes into a room gets all that last.
 */
export async function stickyTexts(
  ctx: Pick<Context, 'clock' | 'events' | 'stickyEvents'>,
  session: Session,
  timelines: readonly RoomTimeline[],
): Promise<ReadonlyMap<number, readonly string[]>> {
  const byRoom = new Map<number, readonly string[]>()
  if (!ctx.stickyEvents) return byRoom
  const wanted = timelines.flatMap(({ plan, events }) => {
    if (plan.section !== 'join') return []
    const { room } = plan.userRoom
    const shown = new Set(events.map(({ nid }) => nid))
    const entries = ctx.stickyEvents!.in(room, plan.after, plan.upTo).filter(({ nid }) => !shown.has(nid))
    return entries.length === 0 ? [] : [{ room, entries }]
  })
  const texts = await describeSticky(
    ctx,
    wanted.flatMap(({ entries }) => entries),
    session.ignored,
  )
  for (const { room, entries } of wanted)
    byRoom.set(
      room,
      entries.flatMap(({ nid }) => texts.get(nid) ?? []),
    )
  return byRoom
}
