import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { Membership } from '../storage/room-users.ts'
import { clientEvent, clientEventText, type EventView } from './client-event.ts'
import { type ViewerHistory, valueAt } from './history-visibility.ts'

/** Who reads, and where. */
export type Reader = {
  readonly userId: UserId
  readonly userNid: number
  readonly deviceId: string | undefined
}

/** What `describeEvents` is to add to events, as far as the caller knows it already. */
export type Known = {
  /** The reader's membership over time, by room; without it no membership is shown. */
  readonly views?: ReadonlyMap<number, ViewerHistory | Membership>
  /** What state events replaced, where memory holds it; asked from the database where the key is absent. */
  readonly replaced?: ReadonlyMap<number, StoredEvent | undefined>
  readonly transactions?: ReadonlyMap<number, string>
  /** Events that nothing relates to, so that nothing has to be looked up. */
  readonly unrelated?: (stored: StoredEvent) => boolean
  /** With the room id in each event. */
  readonly roomIds?: boolean
}

/**
 * Client events as JSON text, each with everything its reader is told in `unsigned`. A fixed number of statements for any
 * number of events, and none for events that are fresh in memory.
 */
export async function describeEvents(
  ctx: Pick<Context, 'events' | 'clock' | 'dictionaries' | 'database' | 'relations' | 'sentTransactions'>,
  reader: Reader,
  events: readonly StoredEvent[],
  known: Known = {},
): Promise<string[]> {
  const unknownReplaced = known.replaced ? events.filter((event) => !known.replaced!.has(event.nid)) : events
  const redacted = events.flatMap((event) => (event.redactedBy === null ? [] : [event.redactedBy]))
  const related = known.unrelated ? events.filter((event) => !known.unrelated!(event)) : events
  const [replaced, redactions, relations] = await Promise.all([
    ctx.events.replacedBy(unknownReplaced),
    ctx.events.byNids(redacted),
    ctx.relations.bundle(reader, related),
  ])
  const redactionOf = new Map(redactions.map((redaction) => [redaction.nid, redaction]))
  const now = ctx.clock.now()
  return events.map((event) => {
    const because = event.redactedBy === null ? undefined : redactionOf.get(event.redactedBy)
    const view: EventView = {
      now,
      ...(known.roomIds && { roomId: event.event.roomId }),
      transactionId: known.transactions?.get(event.nid) ?? ctx.sentTransactions.idOf(event.nid, reader),
      membership: membershipAt(known.views?.get(event.room), event),
      replaced: replaced.get(event.nid) ?? known.replaced?.get(event.nid),
      redactedBecause: because && clientEvent(because, { now, roomId: event.event.roomId }),
      relations: relations.get(event.nid),
    }
    return clientEventText(event, view)
  })
}

function membershipAt(view: ViewerHistory | Membership | undefined, event: StoredEvent): Membership | undefined {
  if (view === undefined || typeof view === 'string') return view
  return valueAt(view.memberships, event.timeline ?? event.nid) ?? 'leave'
}
