import type { Context } from '../context.ts'
import { unreadCounts } from '../rooms/unread.ts'
import { eventIdText } from '../storage/event-codec.ts'
import { formerMembers, roomSummaries } from '../storage/room-summaries.ts'
import { receiptsOfRooms } from '../storage/user-data.ts'
import type { RoomTimeline } from './room-timelines.ts'
import type { Session } from './sessions.ts'
import type { SyncRequest } from './sync.ts'

/** What a joined room's part of a sync holds beside events: counts, summary, ephemeral events; as JSON text. */
export type RoomExtras = { readonly text: string; readonly isEmpty: boolean }

type Counts = {
  readonly notifyCount: number
  readonly highlightCount: number
  readonly joinedMembers: number
  readonly invitedMembers: number
  readonly heroes: readonly number[] | undefined
}

type Receipt = { eventId: string; receiptType: string; userNid: number; ts: number; threadId: string }

export async function loadRoomExtras(
  ctx: Pick<Context, 'database' | 'dictionaries' | 'typing' | 'hotRooms'>,
  session: Session,
  timelines: readonly RoomTimeline[],
  request: SyncRequest,
  typingSince: number,
): Promise<Map<number, RoomExtras>> {
  const joined = timelines.filter(({ plan }) => plan.section === 'join')
  if (joined.length === 0) return new Map()
  const [counts, receipts] = await Promise.all([
    loadCounts(ctx, session, joined),
    loadReceipts(ctx, joined, request.reader.userNid),
  ])
  const wanted = new Set<number>()
  for (const { heroes } of counts.values()) for (const nid of heroes ?? []) wanted.add(nid)
  for (const list of receipts.values()) for (const { userNid } of list) wanted.add(userNid)
  const userIds = await ctx.dictionaries.userIds(wanted)

  const extras = new Map<number, RoomExtras>()
  for (const timeline of joined) {
    const { userRoom, full, after } = timeline.plan
    const { room } = userRoom
    const count = counts.get(room)!
    const ephemeral: string[] = []
    const receipt = receiptText(receipts.get(room) ?? [], userIds)
    if (receipt) ephemeral.push(receipt)
    const typing = ctx.typing.in(room)
    if (typing && typing.counter > typingSince && (typing.userIds.length > 0 || !full)) {
      ephemeral.push(`{"content":{"user_ids":${JSON.stringify(typing.userIds)}},"type":"m.typing"}`)
    }
    const unread = unreadCounts(userRoom, count)
    const summary = summaryText(count, full, userIds)
    const isEmpty = ephemeral.length === 0 && summary === undefined && userRoom.readAt <= after
    extras.set(room, {
      text:
        `"ephemeral":{"events":[${ephemeral.join(',')}]},"summary":${summary ?? '{}'},` +
        `"unread_notifications":{"highlight_count":${unread.highlight},"notification_count":${unread.notify}}`,
      isEmpty,
    })
  }
  return extras
}

/** Counts from memory for a room with news, else from the database, all rooms in one statement. */
async function loadCounts(
  ctx: Pick<Context, 'database' | 'hotRooms'>,
  session: Session,
  timelines: readonly RoomTimeline[],
): Promise<Map<number, Counts>> {
  const counts = new Map<number, Counts>()
  const cold: number[] = []
  for (const { plan, events } of timelines) {
    const membersChanged = events.some(({ event }) => event.pdu.type === 'm.room.member')
    const known = plan.feed && plan.feed.events.length > 0 ? plan.feed : undefined
    if (plan.full || membersChanged || !known) cold.push(plan.userRoom.room)
    else counts.set(plan.userRoom.room, { ...known, heroes: undefined })
  }
  if (cold.length === 0) return counts
  const rows = await ctx.database.read(roomSummaries, [cold, session.userNid])
  for (const row of rows) {
    counts.set(row.room, {
      notifyCount: row.notify_count,
      highlightCount: row.highlight_count,
      joinedMembers: row.joined_members,
      invitedMembers: row.invited_members,
      heroes: row.heroes ?? [],
    })
  }
  // Alone: those who were there give the room its name.
  const alone = rows.filter((row) => !row.heroes && row.joined_members + row.invited_members <= 1)
  if (alone.length > 0) {
    const former = await ctx.database.read(formerMembers, [alone.map((row) => row.room), session.userNid])
    for (const { room, user_nid: nid } of former) {
      const count = counts.get(room)!
      counts.set(room, { ...count, heroes: [...(count.heroes ?? []), nid] })
    }
  }
  return counts
}

async function loadReceipts(
  ctx: Pick<Context, 'database'>,
  timelines: readonly RoomTimeline[],
  ownNid: number,
): Promise<Map<number, Receipt[]>> {
  const receipts = new Map<number, Receipt[]>()
  const cold = new Map<number, { rooms: number[]; upTo: number }>()
  const add = (room: number, receipt: Receipt): void => {
    if (receipt.receiptType === 'm.read.private' && receipt.userNid !== ownNid) return
    const list = receipts.get(room)
    if (list) list.push(receipt)
    else receipts.set(room, [receipt])
  }
  for (const { plan } of timelines) {
    if (plan.full || !plan.warm) {
      const after = Math.max(plan.after, 0)
      const span = cold.get(after)
      if (span) span.rooms.push(plan.userRoom.room)
      else cold.set(after, { rooms: [plan.userRoom.room], upTo: plan.upTo })
      continue
    }
    for (const receipt of plan.feed?.receipts ?? []) {
      if (receipt.position > plan.after && receipt.position <= plan.upTo) add(plan.userRoom.room, receipt)
    }
  }
  for (const [after, { rooms, upTo }] of cold) {
    for (const row of await ctx.database.read(receiptsOfRooms, [rooms, after, upTo])) {
      add(row.room, {
        eventId: eventIdText(row.event_id, row.event_format),
        receiptType: row.receipt_type,
        userNid: row.user_nid,
        ts: row.ts,
        threadId: row.thread_id,
      })
    }
  }
  return receipts
}

/** Spec: Client-Server API, "Receipts": one `m.receipt` event for all receipts of a room. */
function receiptText(receipts: readonly Receipt[], userIds: ReadonlyMap<number, string>): string | undefined {
  if (receipts.length === 0) return undefined
  const content: Record<string, Record<string, Record<string, object>>> = Object.create(null)
  for (const { eventId, receiptType, userNid, ts, threadId } of receipts) {
    const userId = userIds.get(userNid)
    if (userId === undefined) continue
    const byType = (content[eventId] ??= Object.create(null) as Record<string, Record<string, object>>)
    const byUser = (byType[receiptType] ??= Object.create(null) as Record<string, object>)
    byUser[userId] = threadId === '' ? { ts } : { ts, thread_id: threadId }
  }
  return `{"content":${JSON.stringify(content)},"type":"m.receipt"}`
}

function summaryText(count: Counts, full: boolean, userIds: ReadonlyMap<number, string>): string | undefined {
  if (!count.heroes && !full) return undefined
  const heroes = (count.heroes ?? []).flatMap((nid) => userIds.get(nid) ?? [])
  return JSON.stringify({
    'm.heroes': heroes,
    'm.joined_member_count': count.joinedMembers,
    'm.invited_member_count': count.invitedMembers,
  })
}
