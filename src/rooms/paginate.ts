import { withoutIgnored } from '../account-data/ignored-users.ts'
import type { Context } from '../context.ts'
import type { RoomId } from '../matrix/ids.ts'
import { MAX_TIMELINE_EVENTS } from '../matrix/limits.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { EventFilter } from '../sync/filter.ts'
import { formatTimelineToken } from '../sync/token.ts'
import { describeEvents, type Reader } from './describe-events.ts'
import { describeState } from './read-state.ts'
import { relatedAs } from './related-by.ts'
import { eventsSeen, type RoomView, viewRoom } from './room-access.ts'
import { sendersOf } from './state-around.ts'

type Engine = Parameters<typeof describeEvents>[0] & Pick<Context, 'database' | 'hotRooms' | 'stream' | 'remoteServers'>

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
/** By how much more is looked at each time when a page is not full yet: few statements, whatever is hidden. */
const growth = 4
/** Gaps that one request may have filled: each means asking other servers. */
const mostGaps = 3

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
    request.filter.lazyLoadMembers ? sendersOf(ctx, events).then((members) => describeState(ctx, reader, members)) : [],
  ])
  return {
    start: formatTimelineToken(from),
    end: end === undefined ? undefined : formatTimelineToken(end),
    events: texts,
    state,
  }
}

async function scan(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'events' | 'sessions' | 'remoteServers' | 'stream'>,
  view: RoomView,
  reader: Reader,
  request: PageRequest & { from: number },
): Promise<{ events: StoredEvent[]; end: number | undefined }> {
  const limit = Math.min(request.limit, MAX_TIMELINE_EVENTS * 10)
  const { room } = view.room
  const events: StoredEvent[] = []
  let position = request.from
  const above = request.backwards ? await fillAbove(ctx, view, position) : { gaps: 0, isOpen: false }
  let { gaps } = above
  // So far only what nobody is shown came in; who asks again gets further.
  if (above.isOpen) return { events, end: position }
  let isOpen = false
  const after = (event: StoredEvent): number => (request.backwards ? event.timeline! - 1 : event.timeline!)
  for (let scanned = 0, wanted = limit; events.length < limit && scanned < mostScanned; wanted *= growth) {
    const size = Math.min(wanted, mostScanned)
    const found = request.backwards
      ? await ctx.events.backward(room, position, request.to ?? oldest, size)
      : await ctx.events.forward(room, position, request.to ?? Number.MAX_SAFE_INTEGER, size)
    const gap = request.backwards && gaps < mostGaps ? found.findIndex(isAfterGap) : -1
    if (gap >= 0) {
      gaps++
      isOpen = await fillIn(ctx, view, found[gap]!)
    }
    const chunk = gap < 0 ? found : found.slice(0, gap + 1)
    const seen = await withoutIgnored(ctx, reader, await eventsSeen(ctx, view, reader.userId, chunk))
    const allowed = seen.filter(({ event }) => request.filter.allows?.(event.pdu) ?? true)
    const shown = await relatedAs(ctx, allowed, request.filter.relatedBy)
    const page = shown.slice(0, limit - events.length)
    events.push(...page)
    if (page.length < shown.length) return { events, end: after(page.at(-1)!) }
    scanned += chunk.length
    if (isOpen) return { events, end: after(chunk.at(-1)!) }
    if (found.length < size && gap < 0)
      return { events, end: isWhole(events, request) ? undefined : after(chunk.at(-1) ?? events.at(-1)!) }
    position = after(chunk.at(-1)!)
  }
  return { events, end: position }
}

function isAfterGap({ flags }: StoredEvent): boolean {
  return (flags & EventFlags.gap) !== 0
}

/**
 * A sync ends its timeline where there is a gap, and from there clients go on: how many times it was filled, and whether
 * there is more of it to be had.
 */
async function fillAbove(
  ctx: Pick<Context, 'events' | 'remoteServers' | 'stream'>,
  view: RoomView,
  position: number,
): Promise<{ gaps: number; isOpen: boolean }> {
  // From the end on there is nothing above.
  if (!ctx.remoteServers.current.isOn || position >= ctx.stream.position) return { gaps: 0, isOpen: false }
  let isOpen = false
  for (let gaps = 0; gaps < mostGaps; gaps++) {
    const [above] = await ctx.events.forward(view.room.room, position, position + 1, 1)
    if (!above || !isAfterGap(above)) return { gaps, isOpen: false }
    isOpen = await fillIn(ctx, view, above)
    if (!isOpen) return { gaps: gaps + 1, isOpen }
  }
  return { gaps: mostGaps, isOpen }
}

/** Whether something came in, and not yet all of it. */
async function fillIn(
  ctx: Pick<Context, 'events' | 'remoteServers'>,
  view: RoomView,
  event: StoredEvent,
): Promise<boolean> {
  if (!(await ctx.remoteServers.current.fillGap(view.room, event))) return false
  const [now] = await ctx.events.byNids([event.nid])
  return now !== undefined && isAfterGap(now)
}

/**
 * Whether the client can see by the page itself that nothing comes after it. A page that filters cut short says where it
 * ended, and the next one is empty: there are clients that take a page without an end for a failure.
 */
function isWhole(events: readonly StoredEvent[], request: PageRequest): boolean {
  if (events.length === 0 || !request.backwards) return true
  return events.at(-1)!.event.pdu.type === 'm.room.create'
}
