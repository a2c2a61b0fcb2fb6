import { MatrixError } from '../../../matrix/errors.ts'
import { MAX_STICKY_EVENTS } from '../../../matrix/limits.ts'
import { describeSticky } from '../../../rooms/sticky-events.ts'
import type { Extension } from './extension.ts'

/** Spec: MSC4354. The client comes back with `since`; those that are in a timeline are told here too. */
export const stickyEvents: Extension = {
  name: 'org.matrix.msc4354.sticky_events',
  ofRooms: false,
  async answer(ctx, { session, asked, upTo }) {
    if (!ctx.stickyEvents) return undefined
    const after = Math.min(sinceOf(asked.since), upTo)
    const found = [...session.rooms.values()]
      .filter(({ membership }) => membership === 'join')
      // Who came into a room since gets all that last.
      .flatMap(({ room, roomId, since }) =>
        ctx.stickyEvents!.in(room, since > after ? 0 : after, upTo).map((entry) => ({ roomId, entry })),
      )
      .sort((one, other) => one.entry.position - other.entry.position)
    const limit = limitOf(asked.limit)
    const told = found.slice(0, limit)
    const texts = await describeSticky(
      ctx,
      told.map(({ entry }) => entry),
      session.ignored,
    )
    const rooms = Map.groupBy(
      told.filter(({ entry }) => texts.has(entry.nid)),
      ({ roomId }) => roomId,
    )
    const shown = [...rooms].map(([roomId, list]) => {
      const events = list.map(({ entry }) => texts.get(entry.nid)!)
      return `${JSON.stringify(roomId)}:{"events":[${events.join(',')}]}`
    })
    const next = found.length > limit ? told.at(-1)!.entry.position : upTo
    return { text: `{"next_batch":"sticky_${next}","rooms":{${shown.join(',')}}}`, isNews: shown.length > 0 }
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
