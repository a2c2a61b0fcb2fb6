import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { Membership } from '../storage/room-users.ts'
import { clientEvent, clientEventText, type EventView } from './client-event.ts'
import { type ViewerHistory, valueAt } from './history-visibility.ts'
import type { Bundles } from './relations.ts'
import { isOwnMembership } from './room-access.ts'
import { visibleEvents } from './visible-events.ts'

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
  /** Transaction ids of the reader's device, where they are known; `skip`: they are not to be shown. */
  readonly transactions?: ReadonlyMap<number, string | undefined> | 'skip'
  /** Users whose messages count for nothing. */
  readonly ignored?: ReadonlySet<string>
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
  ctx: Pick<Context, 'database' | 'events' | 'clock' | 'dictionaries' | 'relations' | 'sentTransactions' | 'sessions'>,
  reader: Reader,
  events: readonly StoredEvent[],
  known: Known = {},
): Promise<string[]> {
  const unknownReplaced = known.replaced ? events.filter((event) => !known.replaced!.has(event.nid)) : events
  const redacted = events.flatMap((event) => (event.redactedBy === null ? [] : [event.redactedBy]))
  const related = known.unrelated ? events.filter((event) => !known.unrelated!(event)) : events
  const sent = transactionsOf(ctx, reader, events, known.transactions ?? new Map())
  const [replaced, redactions, bundles] = await Promise.all([
    ctx.events.replacedBy(unknownReplaced),
    ctx.events.byNids(redacted),
    bundlesOf(ctx, reader, related, known, sent.unknown),
  ])
  const shownReplaced = await visibleReplaced(ctx, reader, events, replaced, known)
  const redactionOf = new Map(redactions.map((redaction) => [redaction.nid, redaction]))
  const now = ctx.clock.now()
  return events.map((event) => {
    const because = event.redactedBy === null ? undefined : redactionOf.get(event.redactedBy)
    const view: EventView = {
      now,
      ...(known.roomIds && { roomId: event.event.roomId }),
      transactionId: sent.found.get(event.nid) ?? bundles.transactions.get(event.nid),
      membership: membershipAt(known.views?.get(event.room), event),
      replaced: shownReplaced.get(event.nid),
      redactedBecause: because && clientEvent(because, { now, roomId: event.event.roomId }),
      relations: bundles.relations.get(event.nid),
    }
    return clientEventText(event, view)
  })
}

/**
 * What events replaced, where the reader may see it: by itself, as the state of the room when it was replaced, or because it is
 * their own membership. Without the reader's history in a room they are there now, and have been since the events.
 *
 * Spec: Client-Server API, "Room event format", `prev_content`: "the client has permission to see the previous content".
 */
async function visibleReplaced(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'events'>,
  { userId }: Reader,
  events: readonly StoredEvent[],
  loaded: ReadonlyMap<number, StoredEvent>,
  { replaced: remembered, views }: Known,
): Promise<Map<number, StoredEvent>> {
  const shown = new Map<number, StoredEvent>()
  const unsure = new Map<number, { event: StoredEvent; replaced: StoredEvent }[]>()
  for (const event of events) {
    const replaced = loaded.get(event.nid) ?? remembered?.get(event.nid)
    if (!replaced) continue
    const view = views?.get(event.room)
    if (typeof view !== 'object' || seesState(view, event) || isOwnMembership(replaced, userId)) {
      shown.set(event.nid, replaced)
      continue
    }
    const list = unsure.get(event.room)
    if (list) list.push({ event, replaced })
    else unsure.set(event.room, [{ event, replaced }])
  }
  await Promise.all(
    [...unsure].map(async ([room, list]) => {
      // Memory does not hold where in the timeline they are.
      const all = await ctx.events.byNids(list.map(({ replaced }) => replaced.nid))
      const visible = await visibleEvents(ctx, views!.get(room) as ViewerHistory, userId, all)
      const nids = new Set(visible.map(({ nid }) => nid))
      for (const { event, replaced } of list) if (nids.has(replaced.nid)) shown.set(event.nid, replaced)
    }),
  )
  return shown
}

/** Whether the reader could see the room's state just before an event. */
function seesState({ memberships, visibilities }: ViewerHistory, event: StoredEvent): boolean {
  const before = (event.timeline ?? event.nid) - 1
  return valueAt(memberships, before) === 'join' || valueAt(visibilities, before) === 'world_readable'
}

/**
 * The transaction ids that are known of events, and the events of the reader's own of which the database has to be asked:
 * those that this process has not seen being sent. Nobody but the device that sent an event is told.
 */
function transactionsOf(
  ctx: Pick<Context, 'sentTransactions'>,
  reader: Reader,
  events: readonly StoredEvent[],
  known: NonNullable<Known['transactions']>,
): { found: Map<number, string>; unknown: number[] } {
  const found = new Map<number, string>()
  const unknown: number[] = []
  if (known === 'skip' || reader.deviceId === undefined) return { found, unknown }
  for (const { nid, senderNid } of events) {
    if (senderNid !== reader.userNid) continue
    const txnId = known.get(nid) ?? ctx.sentTransactions.idOf(nid, reader)
    if (txnId !== undefined) found.set(nid, txnId)
    else if (!known.has(nid)) unknown.push(nid)
  }
  return { found, unknown }
}

const none: Bundles = { relations: new Map(), transactions: new Map() }

async function bundlesOf(
  ctx: Pick<Context, 'relations' | 'sessions'>,
  reader: Reader,
  events: readonly StoredEvent[],
  known: Known,
  sent: readonly number[],
): Promise<Bundles> {
  if (events.length + sent.length === 0) return none
  const ignored = known.ignored ?? (await ctx.sessions.of(reader)).ignored
  return ctx.relations.bundle({ ...reader, ignored, views: viewsIn(known) }, events, sent)
}

function viewsIn(known: Known): Map<number, ViewerHistory> {
  const views = new Map<number, ViewerHistory>()
  for (const [room, view] of known.views ?? []) if (typeof view === 'object') views.set(room, view)
  return views
}

function membershipAt(view: ViewerHistory | Membership | undefined, event: StoredEvent): Membership | undefined {
  if (view === undefined || typeof view === 'string') return view
  return valueAt(view.memberships, event.timeline ?? event.nid) ?? 'leave'
}
