import type { Context } from '../context.ts'
import { describeEvents, type Reader } from '../rooms/describe-events.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { States } from './room-states.ts'
import type { RoomTimeline } from './room-timelines.ts'
import type { Session } from './sessions.ts'

/** All events of an answer in one go: the texts of timelines and states, by room. */
export async function describeRooms(
  ctx: Context,
  session: Session,
  reader: Reader,
  timelines: readonly RoomTimeline[],
  states: States,
): Promise<{ timeline: Map<number, string[]>; state: Map<number, string[]> }> {
  const events: StoredEvent[] = []
  const transactions = new Map<number, string | undefined>()
  const unrelated = new Set<StoredEvent>()
  const views = new Map<number, RoomTimeline['view'] & {}>()
  const joined = new Map<number, 'join'>()
  for (const { plan, events: shown, facts, view } of timelines) {
    if (view) views.set(plan.userRoom.room, view)
    else joined.set(plan.userRoom.room, 'join')
    for (const event of shown) {
      events.push(event)
      const fact = facts.get(event.nid)
      if (!fact) continue
      const { transaction } = fact
      const isOwn = transaction !== undefined && transaction.deviceId === reader.deviceId
      // A fact that was read from the database does not tell.
      if (transaction || fact.room.seen !== undefined)
        transactions.set(event.nid, isOwn ? transaction.txnId : undefined)
      if (!plan.feed?.relatedTo.has(event.event.eventId)) unrelated.add(event)
    }
  }
  const texts = await describeEvents(ctx, reader, events, {
    views: new Map<number, 'join' | (RoomTimeline['view'] & {})>([...joined, ...views]),
    replaced: states.replaced,
    transactions,
    ignored: session.ignored,
    unrelated: (event) => unrelated.has(event),
  })
  const timeline = new Map<number, string[]>()
  let next = 0
  for (const { plan, events: shown } of timelines) {
    timeline.set(plan.userRoom.room, texts.slice(next, (next += shown.length)))
  }
  const state = new Map<number, string[]>()
  const plain = { replaced: new Map<number, undefined>(), transactions: 'skip' as const, unrelated: () => true }
  for (const [room, list] of states.byRoom) {
    for (const event of list) plain.replaced.set(event.nid, undefined)
    state.set(room, await describeEvents(ctx, reader, list, plain))
  }
  return { timeline, state }
}
