import { LRUCache } from 'lru-cache'
import type { Context } from '../../src/context.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import type { EventId, UserId } from '../../src/matrix/ids.ts'
import { setReceiptIn } from '../../src/receipts/set-receipt.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'

/** What a user of another server has read. */
export type RemoteReceipt = {
  readonly userId: UserId
  readonly userNid: number
  readonly room: Pick<HotRoom, 'room'>
  readonly eventId: EventId
  readonly threadId: string
}

/**
 * Receipts of events that are not here yet: what lacks its predecessors comes in later than what is told with it. They are in
 * memory, since a receipt that is lost is followed by the next one.
 */
export type EarlyReceipts = {
  /** Notes a receipt, now or when its event comes. */
  take(receipt: RemoteReceipt): Promise<void>
}

/** Receipts, and milliseconds for which they are kept. */
const mostKept = 10_000
const keptFor = 10 * 60_000

export function createEarlyReceipts(ctx: Context): EarlyReceipts {
  /** The last of each user for each event. */
  const waiting = new LRUCache<EventId, Map<UserId, RemoteReceipt>>({
    maxSize: mostKept,
    sizeCalculation: (receipts) => receipts.size,
    ttl: keptFor,
  })

  /** False where there is no such event. */
  const set = async ({ room, eventId, threadId, ...user }: RemoteReceipt): Promise<boolean> => {
    try {
      await setReceiptIn(ctx, user, room, { type: 'm.read', eventId, threadId })
      return true
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      return error.errcode !== 'M_NOT_FOUND'
    }
  }

  ctx.stream.follow((facts) => {
    if (waiting.size === 0) return
    for (const fact of facts) {
      const eventId = fact.kind === 'event' ? fact.stored.event.eventId : undefined
      const receipts = eventId === undefined ? undefined : waiting.get(eventId)
      if (!receipts) continue
      waiting.delete(eventId!)
      for (const receipt of receipts.values()) {
        set(receipt).catch((error: unknown) => ctx.log.warn({ err: error }, 'A receipt could not be noted'))
      }
    }
  })

  return {
    async take(receipt) {
      if (await set(receipt)) return
      const { eventId, userId } = receipt
      waiting.set(eventId, new Map(waiting.get(eventId)).set(userId, receipt))
      // It may have come in between.
      await set(receipt)
    },
  }
}
