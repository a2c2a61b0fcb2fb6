import type { UserId } from '../../src/matrix/ids.ts'
import { deviceListsMissedByServer, missedByServer, moreEventsForServer } from '../../src/storage/destinations.ts'
import type { Federation } from '../federation.ts'
import type { Destination } from './destination.ts'

/** Events that are told one by one, and that are remembered for one destination. */
export const mostInOrder = 1_000

/** What happened after the one position of the stream, up to the other. */
export type Missed = { readonly after: number; readonly upTo: number }

/**
 * Rooms that a transaction tells the stand of. The server has to look for what came before in each of them while we wait for its
 * answer: with too many it would never give one in time, and get the same again.
 */
const mostRooms = 10

export type MissedNews = {
  readonly events: readonly number[]
  readonly lists: ReadonlyMap<number, UserId>
  readonly left: Missed | undefined
}

/**
 * Sets aside what a server missed that could not be reached, if that is more than should be told one by one. It is told the
 * stand of each room instead, and what happens from now on beside that, at once. An earlier lot that is not yet done becomes
 * part of this one.
 *
 * Spec: Server-Server API, "Transactions" leaves the order open; the server gets the rest as in "Backfilling and retrieving
 * missing events" (v1.19).
 */
export async function setMissedAside({ ctx }: Federation, to: Destination): Promise<void> {
  if (to.failures === 0 || to.events !== undefined) return
  const upTo = to.knownUpTo(ctx.stream.position)
  const more = await ctx.database.read(moreEventsForServer, [to.acked, upTo, to.server, to.origin, mostInOrder])
  if (more.length === 0) return
  to.missed = { after: to.missed?.after ?? to.acked, upTo }
  to.advance(upTo)
}

/** The next of what a server missed, from the latest back: how rooms stand, and whose devices changed. */
export async function nextOfMissed(
  { ctx }: Federation,
  { missed, server, origin }: Destination,
  most: { readonly events: number; readonly lists: number },
): Promise<MissedNews> {
  if (!missed) return { events: [], lists: new Map(), left: undefined }
  const span = [missed.after, missed.upTo, server, origin]
  const [rooms, lists] = await Promise.all([
    ctx.database.read(missedByServer, [...span, mostRooms]),
    ctx.database.read(deviceListsMissedByServer, [...span, most.lists]),
  ])
  const fitting = []
  let count = 0
  for (const room of rooms) {
    count += room.events.length
    if (count > most.events) break
    fitting.push(room)
  }
  // Everything from here on is told: what is not in this transaction comes before.
  const isCut = fitting.length < rooms.length || rooms.length === mostRooms
  const downTo = Math.max(
    missed.after,
    isCut ? (fitting.at(-1)?.position ?? missed.upTo + 1) - 1 : 0,
    lists.length === most.lists ? lists.at(-1)!.position - 1 : 0,
  )
  return {
    events: fitting.filter(({ position }) => position > downTo).flatMap(({ events }) => events),
    lists: new Map(lists.filter(({ position }) => position > downTo).map((row) => [row.user_nid, row.user_id])),
    left: downTo > missed.after ? { after: missed.after, upTo: downTo } : undefined,
  }
}
