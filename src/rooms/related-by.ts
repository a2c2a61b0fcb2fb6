import type { Context } from '../context.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import { eventsRelatedTo } from '../storage/related-events.ts'

/** What a filter says of the events that relate to an event. Spec: Client-Server API, "Filtering", `related_by_…`. */
export type RelatedBy = {
  readonly senders: readonly string[] | undefined
  readonly relTypes: readonly string[] | undefined
}

/** Of some events those that others relate to as a filter wants: all of them without one, else one statement. */
export async function relatedAs<Event extends StoredEvent>(
  ctx: Pick<Context, 'database'>,
  events: readonly Event[],
  relatedBy: RelatedBy | undefined,
): Promise<readonly Event[]> {
  if (!relatedBy || events.length === 0) return events
  const ids = events.map(({ event }) => eventIdBytes(event.eventId))
  const rows = await ctx.database.read(eventsRelatedTo, [
    events.map(({ room }) => room),
    ids,
    relatedBy.senders ?? null,
    relatedBy.relTypes ?? null,
  ])
  const found = new Set(rows.map(({ parent }) => parent.toString('hex')))
  return events.filter((_, index) => found.has(ids[index]!.toString('hex')))
}
