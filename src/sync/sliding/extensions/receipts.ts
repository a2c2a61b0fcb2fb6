import type { Context } from '../../../context.ts'
import { eventIdText } from '../../../storage/event-codec.ts'
import { receiptsOfRooms } from '../../../storage/sliding-sync.ts'
import { type Receipt, receiptText } from '../../room-extras.ts'
import { visibleReceipts } from '../../visible-receipts.ts'
import type { Extension, ExtensionCall } from './extension.ts'

/**
 * Spec: MSC3960. Of a room that is new to the client: the receipts for the events that it is told, and the reader's own. A
 * receipt is younger than its event, so those before the timeline need not be looked at.
 */
export const receipts: Extension = {
  name: 'receipts',
  ofRooms: true,
  async answer(ctx, call) {
    const found = await visibleReceipts(ctx, call.session, await load(ctx, call), new Map())
    const userIds = await ctx.dictionaries.userIds(
      [...found.values()].flatMap((list) => list.map((one) => one.userNid)),
    )
    const texts = call.rooms.flatMap(({ room: { userRoom } }) => {
      const text = receiptText(found.get(userRoom.room) ?? [], userIds, call.session.ignored)
      return text === undefined ? [] : [`${JSON.stringify(userRoom.roomId)}:${text}`]
    })
    return { text: `{"rooms":{${texts.join(',')}}}`, isNews: texts.length > 0 }
  },
}

async function load(ctx: Pick<Context, 'database' | 'feeds'>, call: ExtensionCall): Promise<Map<number, Receipt[]>> {
  const { session, upTo } = call
  const found = new Map<number, Receipt[]>()
  const add = (room: number, receipt: Receipt): void => {
    const list = found.get(room)
    if (list) list.push(receipt)
    else found.set(room, [receipt])
  }
  const cold: { room: number; after: number; isNew: boolean }[] = []
  for (const { room, after } of call.rooms) {
    if (room.userRoom.membership !== 'join') continue
    const nid = room.userRoom.room
    const feed = ctx.feeds.of(nid)
    if (after === undefined) {
      cold.push({ room: nid, after: Math.max((await call.timelineStart(nid)) ?? upTo, 0), isNew: true })
      continue
    }
    if (after < (feed?.completeAfter ?? ctx.feeds.completeAfter)) cold.push({ room: nid, after, isNew: false })
    else
      for (const receipt of feed?.receipts ?? []) {
        if (receipt.position <= after || receipt.position > upTo) continue
        if (receipt.receiptType === 'm.read.private' && receipt.userNid !== session.userNid) continue
        add(nid, receipt)
      }
  }
  if (cold.length === 0) return found
  const rows = await ctx.database.read(receiptsOfRooms, [
    session.userNid,
    cold.map(({ room }) => room),
    cold.map(({ after }) => after),
    cold.map(({ isNew }) => isNew),
    upTo,
  ])
  for (const row of rows) {
    add(row.room, {
      eventId: eventIdText(row.event_id, row.event_format),
      receiptType: row.receipt_type,
      userNid: row.user_nid,
      timeline: row.timeline,
      ts: row.ts,
      threadId: row.thread_id,
    })
  }
  return found
}
