import { MatrixError } from '../../../matrix/errors.ts'
import { MAX_STICKY_EVENTS } from '../../../matrix/limits.ts'
import { describeSticky } from '../../../rooms/sticky-events.ts'
import type { Extension } from './extension.ts'

/** Spec: MSC4354. The client comes back with `since`. */
export const stickyEvents: Extension = {
  name: 'org.matrix.msc4354.sticky_events',
  ofRooms: false,
  async answer(ctx, { session, asked, upTo, shownEvents }) {
    if (!ctx.stickyEvents) return undefined
    const after = Math.min(sinceOf(asked.since), upTo)
    const found = [...session.rooms.values()]
      .filter(({ membership }) => membership === 'join')
      // Who comes into a room gets all that last, as if it had been said then.
      .flatMap(({ room, roomId, since }) =>
        ctx
          .stickyEvents!.in(room, 0, upTo)
          .map((entry) => ({ room, roomId, entry, at: Math.max(entry.position, since) })),
      )
      .filter(({ at }) => at > after && at <= upTo)
      .sort((one, other) => one.at - other.at || one.entry.position - other.entry.position)
    // What came at once is told at once: a token names a position.
    const last = found[limitOf(asked.limit) - 1]?.at ?? upTo
    const told = found.filter(({ at }) => at <= last)
    const shown = told.length === 0 ? new Map<number, ReadonlySet<number>>() : await shownEvents()
    const apart = told.filter(({ room, entry }) => shown.get(room)?.has(entry.nid) !== true)
    const texts = await describeSticky(
      ctx,
      apart.map(({ entry }) => entry),
      session.ignored,
    )
    const rooms = Map.groupBy(
      apart.filter(({ entry }) => texts.has(entry.nid)),
      ({ roomId }) => roomId,
    )
    const sections = [...rooms].map(([roomId, list]) => {
      const events = list.map(({ entry }) => texts.get(entry.nid)!)
      return `${JSON.stringify(roomId)}:{"events":[${events.join(',')}]}`
    })
    const next = told.length < found.length ? last : upTo
    return { text: `{"next_batch":"sticky_${next}","rooms":{${sections.join(',')}}}`, isNews: sections.length > 0 }
  },
}

function sinceOf(text: unknown): number {
  if (text === undefined || text === null) return 0
  const match = typeof text === 'string' ? /^sticky_(\d{1,16})$/.exec(text) : null
  const position = Number(match?.[1])
  if (Number.isSafeInteger(position)) return position
  throw new MatrixError('M_INVALID_PARAM', 'extensions.org.matrix.msc4354.sticky_events.since: unknown token')
}

function limitOf(limit: unknown): number {
  if (limit === undefined || limit === null) return MAX_STICKY_EVENTS
  if (Number.isSafeInteger(limit) && (limit as number) > 0) return Math.min(limit as number, MAX_STICKY_EVENTS)
  throw new MatrixError('M_INVALID_PARAM', 'extensions.org.matrix.msc4354.sticky_events.limit: expected a count')
}
