import type { Context } from '../context.ts'
import type { RoomId } from '../matrix/ids.ts'
import { MAX_TIMELINE_EVENTS } from '../matrix/limits.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { EventFilter } from '../sync/filter.ts'
import { formatTimelineToken } from '../sync/token.ts'
import { describeEvents, type Reader } from './describe-events.ts'
import { maySee } from './history-visibility.ts'
import { describeState } from './read-state.ts'
import { isOwnMembership, type RoomView, viewRoom } from './room-access.ts'

type Engine = Parameters<typeof describeEvents>[0] & Pick<Context, 'hotRooms' | 'stream'>

export type PageRequest = {
  /** A position of the timeline; the page begins with the event after it, or backwards with the one at it. */
  readonly from: number | undefined
  readonly to: number | undefined
  readonly backwards: boolean
  readonly limit: number
  readonly filter: EventFilter
}

/** A page of a room's timeline, events and state as JSON text. */
export type Page = {
  readonly start: string
  /** Absent when there is nothing more in that direction. */
  readonly end: string | undefined
  readonly events: readonly string[]
  readonly state: readonly string[]
}

const oldest = -Number.MAX_SAFE_INTEGER
/** How many events are looked at for a page whose filter lets few through, before the client has to ask again. */
const mostScanned = 1000

/**
 * A page of a room's timeline, as far as the reader may see it.
 *
 * Spec: Client-Server API, `GET …/messages`.
 *
 * @throws MatrixError M_FORBIDDEN
 */
export async function paginate(ctx: Engine, roomId: RoomId, reader: Reader, request: PageRequest): Promise<Page> {
  const view = await viewRoom(ctx, roomId, reader.userId)
  const from = request.from ?? (request.backwards ? ctx.stream.position : oldest)
  const { events, end } = await scan(ctx, view, reader, { ...request, from })
  const [texts, state] = await Promise.all([
    describeEvents(ctx, reader, events, { views: new Map([[view.room.room, view.history]]), roomIds: true }),
    request.filter.lazyLoadMembers ? senders(ctx, view, reader, events) : [],
  ])
  return {
    start: formatTimelineToken(from),
    end: end === undefined ? undefined : formatTimelineToken(end),
    events: texts,
    state,
  }
}

async function scan(
  ctx: Pick<Context, 'events'>,
  view: RoomView,
  reader: Reader,
  request: PageRequest & { from: number },
): Promise<{ events: StoredEvent[]; end: number | undefined }> {
  const limit = Math.min(request.limit, MAX_TIMELINE_EVENTS * 10)
  const { room } = view.room
  const events: StoredEvent[] = []
  let position = request.from
  for (let scanned = 0; events.length < limit && scanned < mostScanned; ) {
    const wanted = limit - events.length
    const chunk = request.backwards
      ? await ctx.events.backward(room, position, request.to ?? oldest, wanted)
      : await ctx.events.forward(room, position, request.to ?? Number.MAX_SAFE_INTEGER, wanted)
    for (const event of chunk) if (isShown(view, reader, request.filter, event)) events.push(event)
    scanned += chunk.length
    const last = chunk.at(-1)
    if (last) position = request.backwards ? last.timeline! - 1 : last.timeline!
    if (chunk.length < wanted) return { events, end: undefined }
  }
  return { events, end: position }
}

function isShown(view: RoomView, reader: Reader, filter: EventFilter, event: StoredEvent): boolean {
  if (!isOwnMembership(event, reader.userId) && !maySee(view.history, event.timeline!)) return false
  return filter.allows === undefined || filter.allows(event.event.pdu)
}

/** The membership events of those who sent what is on the page. */
async function senders(ctx: Engine, view: RoomView, reader: Reader, events: readonly StoredEvent[]): Promise<string[]> {
  if (events.length === 0) return []
  const users = new Set(events.map(({ event }) => event.pdu.sender))
  const kinds = await ctx.dictionaries.findKinds(
    [...users].map((userId) => ({ type: 'm.room.member', stateKey: userId })),
  )
  const position = Math.max(...events.map((event) => event.timeline!))
  const members = await ctx.events.stateAt(view.room.room, position, [...kinds.values()])
  return describeState(ctx, reader, members)
}
