import type { Context } from '../context.ts'
import { loadViewerHistories, maySee, type ViewerHistory } from '../rooms/history-visibility.ts'
import type { Receipt } from './room-extras.ts'
import type { Session } from './sessions.ts'

/**
 * Receipts of rooms without those for events that the reader may not see, as of before they joined; their own they are always
 * told. No statement while all are for events since the joining, or `views` has the rooms; else one.
 *
 * Spec: Client-Server API, "Room history visibility".
 */
export async function visibleReceipts(
  ctx: Pick<Context, 'events' | 'dictionaries'>,
  session: Session,
  receipts: ReadonlyMap<number, readonly Receipt[]>,
  views: ReadonlyMap<number, ViewerHistory>,
): Promise<ReadonlyMap<number, readonly Receipt[]>> {
  const isOlder = (room: number) => {
    const joinedAt = session.rooms.get(room)?.since ?? Number.POSITIVE_INFINITY
    return ({ userNid, timeline }: Receipt): boolean =>
      userNid !== session.userNid && timeline !== null && timeline < joinedAt
  }
  const unsure = [...receipts].filter(([room, list]) => list.some(isOlder(room))).map(([room]) => room)
  if (unsure.length === 0) return receipts
  const unknown = unsure.filter((room) => !views.has(room))
  const loaded = unknown.length === 0 ? undefined : await loadViewerHistories(ctx, unknown, session.userId)
  const visible = new Map(receipts)
  for (const room of unsure) {
    const view = views.get(room) ?? loaded!.get(room)!
    const older = isOlder(room)
    visible.set(
      room,
      receipts.get(room)!.filter((receipt) => !older(receipt) || maySee(view, receipt.timeline!)),
    )
  }
  return visible
}
