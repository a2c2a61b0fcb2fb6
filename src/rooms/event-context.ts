import { withoutIgnored } from '../account-data/ignored-users.ts'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { MAX_TIMELINE_EVENTS } from '../matrix/limits.ts'
import type { EventFilter } from '../sync/filter.ts'
import { formatTimelineToken } from '../sync/token.ts'
import { describeEvents, type Reader } from './describe-events.ts'
import type { paginate } from './paginate.ts'
import { describeState } from './read-state.ts'
import { relatedAs } from './related-by.ts'
import { eventsSeen, visibleEvent } from './room-access.ts'
import { stateAfterEvent } from './state-around.ts'

/** An event and what is around it, as JSON texts. */
export type EventContext = {
  readonly start: string
  readonly end: string
  readonly event: string
  /** Newest first. */
  readonly before: readonly string[]
  /** Oldest first. */
  readonly after: readonly string[]
  /** The state after the last of the events. */
  readonly state: readonly string[]
}

/**
 * Spec: Client-Server API, `GET …/context/{eventId}`.
 *
 * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
 */
export async function eventContext(
  ctx: Parameters<typeof paginate>[0],
  roomId: RoomId,
  eventId: EventId,
  reader: Reader,
  request: { readonly limit: number; readonly filter: EventFilter },
): Promise<EventContext> {
  const { view, stored } = await visibleEvent(ctx, roomId, eventId, reader.userId)
  const { room } = view.room
  const position = stored.timeline!
  const limit = Math.min(request.limit, MAX_TIMELINE_EVENTS)
  const half = Math.floor(limit / 2)
  const [before, after] = await Promise.all([
    ctx.events.backward(room, position - 1, -Number.MAX_SAFE_INTEGER, half),
    ctx.events.forward(room, position, Number.MAX_SAFE_INTEGER, limit - half),
  ])
  const around = await eventsSeen(ctx, view, reader.userId, [...before, ...after])
  const wanted = await relatedAs(ctx, await withoutIgnored(ctx, reader, around), request.filter.relatedBy)
  const seen = new Set(wanted)
  const isShown = (event: (typeof before)[number]): boolean =>
    seen.has(event) && (request.filter.allows?.(event.event.pdu) ?? true)
  const older = before.filter(isShown)
  const newer = after.filter(isShown)
  const shown = [stored, ...older, ...newer]
  const members = request.filter.lazyLoadMembers ? new Set(shown.map((one) => one.senderNid)) : undefined
  const [texts, state] = await Promise.all([
    describeEvents(ctx, reader, shown, { views: new Map([[room, view.history]]), roomIds: true }),
    // Of an event that the reader sees: what came later may be hidden.
    stateAfterEvent(ctx, newer.at(-1) ?? stored, members),
  ])
  return {
    start: formatTimelineToken((before.at(-1)?.timeline ?? position) - 1),
    end: formatTimelineToken(after.at(-1)?.timeline ?? position),
    event: texts[0]!,
    before: texts.slice(1, 1 + older.length),
    after: texts.slice(1 + older.length),
    state: await describeState(ctx, reader, state),
  }
}
