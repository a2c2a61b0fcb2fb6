import type { Context } from '../context.ts'
import { type UnreadCounts, unreadCounts } from '../rooms/unread.ts'
import { eventIdText } from '../storage/event-codec.ts'
import { roomSummaries } from '../storage/room-summaries.ts'
import type { NewsRow } from '../storage/user-data.ts'
import type { RoomTimeline } from './room-timelines.ts'
import type { Session } from './sessions.ts'
import type { SyncRequest } from './sync.ts'
import { advanceTally, splitByThread, threadTally } from './thread-counts.ts'
import { visibleReceipts } from './visible-receipts.ts'

/** What a joined room's part of a sync holds beside events: counts, summary, ephemeral events; as JSON text. */
export type RoomExtras = { readonly text: string; readonly isEmpty: boolean }

export type Counts = {
  readonly notifyCount: number
  readonly highlightCount: number
  readonly joinedMembers: number
  readonly invitedMembers: number
  readonly heroes: readonly number[] | undefined
}

export type Receipt = {
  readonly eventId: string
  /** The event's place; null where it is not shown. */
  readonly timeline: number | null
  readonly receiptType: string
  readonly userNid: number
  readonly ts: number
  readonly threadId: string
}

type Engine = Pick<Context, 'database' | 'dictionaries' | 'events' | 'typing'>

export async function loadRoomExtras(
  ctx: Engine,
  session: Session,
  timelines: readonly RoomTimeline[],
  request: SyncRequest,
  typingSince: number,
  news: Promise<readonly NewsRow[]>,
): Promise<Map<number, RoomExtras>> {
  const joined = timelines.filter(({ plan }) => plan.section === 'join')
  if (joined.length === 0) return new Map()
  const views = new Map(joined.flatMap(({ plan, view }) => (view ? [[plan.userRoom.room, view] as const] : [])))
  const [counts, receipts] = await Promise.all([
    loadCounts(ctx, session, joined),
    loadReceipts(joined, request, news).then((found) => visibleReceipts(ctx, session, found, views)),
  ])
  const wanted = new Set<number>()
  for (const { heroes } of counts.values()) for (const nid of heroes ?? []) wanted.add(nid)
  for (const list of receipts.values()) for (const { userNid } of list) wanted.add(userNid)
  const userIds = await ctx.dictionaries.userIds(wanted)

  const extras = new Map<number, RoomExtras>()
  for (const { plan } of joined) {
    const { userRoom, full, after } = plan
    const count = counts.get(userRoom.room)!
    const ephemeral: string[] = []
    if (request.filter.ephemeral.allowsRoom(userRoom.roomId)) {
      const receipt = receiptText(receipts.get(userRoom.room) ?? [], userIds, session.ignored)
      if (receipt && allowsType(request, 'm.receipt')) ephemeral.push(receipt)
      const typing = typingText(ctx, userRoom.room, typingSince, full, session.ignored)
      if (typing && allowsType(request, 'm.typing')) ephemeral.push(typing)
    }
    const summary = summaryText(count, full, userIds)
    const isEmpty = ephemeral.length === 0 && summary === undefined && userRoom.readAt <= after
    const unread = splitByThread(unreadCounts(userRoom, count), userRoom.threads!)
    extras.set(userRoom.room, {
      text:
        `"ephemeral":{"events":[${ephemeral.join(',')}]},"summary":${summary ?? '{}'},` +
        unreadText(unread, request.filter.timeline.unreadThreadNotifications),
      isEmpty,
    })
  }
  return extras
}

function allowsType({ filter }: SyncRequest, type: string): boolean {
  // Ephemeral events have no sender, so filters by sender do not touch them.
  return filter.ephemeral.allowsType(type)
}

/** Spec: Client-Server API, "Receiving notifications": with threads apart, the room's counts are of its main timeline. */
function unreadText({ main, threads, all }: ReturnType<typeof splitByThread>, apart: boolean): string {
  const text = ({ notify, highlight }: UnreadCounts): string =>
    `{"highlight_count":${highlight},"notification_count":${notify}}`
  if (!apart) return `"unread_notifications":${text(all)}`
  const entries = [...threads].map(([root, counts]) => `${JSON.stringify(root)}:${text(counts)}`)
  const ofThreads = entries.length === 0 ? '' : `,"unread_thread_notifications":{${entries.join(',')}}`
  return `"unread_notifications":${text(main)}${ofThreads}`
}

/** Counts from memory for a room with news, else from the database, all rooms in one statement. */
export async function loadCounts(
  ctx: Pick<Context, 'database'>,
  session: Session,
  timelines: readonly RoomTimeline[],
): Promise<Map<number, Counts>> {
  const counts = new Map<number, Counts>()
  const cold: RoomTimeline[] = []
  for (const timeline of timelines) {
    const { plan, events } = timeline
    const { userRoom, feed, upTo } = plan
    const membersChanged = events.some(({ event }) => event.pdu.type === 'm.room.member')
    const known = feed && feed.events.length > 0 ? feed : undefined
    if (userRoom.threads && !advanceTally(userRoom.threads, feed, session.userNid, upTo)) userRoom.threads = undefined
    if (plan.full || membersChanged || !known || !userRoom.threads) cold.push(timeline)
    else counts.set(userRoom.room, { ...known, heroes: undefined })
  }
  if (cold.length === 0) return counts
  const { upTo } = cold[0]!.plan
  const rooms = cold.map(({ plan }) => plan.userRoom.room)
  const rows = new Map(
    (await ctx.database.read(roomSummaries, [rooms, session.userNid, upTo])).map((row) => [row.room, row]),
  )
  for (const { plan, events } of cold) {
    const row = rows.get(plan.userRoom.room)!
    const tellsMembers = plan.full || events.some(({ event }) => event.pdu.type === 'm.room.member')
    plan.userRoom.threads = threadTally(row, upTo)
    counts.set(row.room, {
      notifyCount: row.notify_count,
      highlightCount: row.highlight_count,
      joinedMembers: row.joined_members,
      invitedMembers: row.invited_members,
      heroes: tellsMembers ? (row.heroes ?? []) : undefined,
    })
  }
  return counts
}

/** The rooms whose receipts are not in memory, and after which position they are wanted. */
export function coldReceipts(timelines: readonly RoomTimeline[]): { rooms: number[]; after: number[] } {
  const cold = timelines.filter(({ plan }) => plan.section === 'join' && (plan.full || !plan.warm))
  return {
    rooms: cold.map(({ plan }) => plan.userRoom.room),
    after: cold.map(({ plan }) => (plan.full ? 0 : Math.max(plan.after, 0))),
  }
}

async function loadReceipts(
  timelines: readonly RoomTimeline[],
  { reader }: SyncRequest,
  news: Promise<readonly NewsRow[]>,
): Promise<Map<number, Receipt[]>> {
  const receipts = new Map<number, Receipt[]>()
  const add = (room: number, receipt: Receipt): void => {
    const list = receipts.get(room)
    if (list) list.push(receipt)
    else receipts.set(room, [receipt])
  }
  for (const { plan } of timelines) {
    if (plan.full || !plan.warm) continue
    for (const receipt of plan.feed?.receipts ?? []) {
      if (receipt.position <= plan.after || receipt.position > plan.upTo) continue
      if (receipt.receiptType === 'm.read.private' && receipt.userNid !== reader.userNid) continue
      add(plan.userRoom.room, receipt)
    }
  }
  if (coldReceipts(timelines).rooms.length === 0) return receipts
  for (const row of await news) {
    if (row.part !== 'receipt') continue
    add(row.room!, {
      eventId: eventIdText(row.event_id!, row.event_format!),
      receiptType: row.type!,
      userNid: row.user_nid!,
      timeline: row.timeline,
      ts: row.ts!,
      threadId: row.text,
    })
  }
  return receipts
}

/** Spec: Client-Server API, "Receipts": one `m.receipt` event for all receipts of a room. */
export function receiptText(
  receipts: readonly Receipt[],
  userIds: ReadonlyMap<number, string>,
  ignored: ReadonlySet<string>,
): string | undefined {
  const content: Record<string, Record<string, Record<string, object>>> = Object.create(null)
  let isEmpty = true
  for (const { eventId, receiptType, userNid, ts, threadId } of receipts) {
    const userId = userIds.get(userNid)
    if (userId === undefined || ignored.has(userId)) continue
    isEmpty = false
    const byType = (content[eventId] ??= Object.create(null) as Record<string, Record<string, object>>)
    const byUser = (byType[receiptType] ??= Object.create(null) as Record<string, object>)
    // Spec: MSC4102: "servers and clients should always prefer the unthreaded receipt" where both are for one event.
    if (threadId !== '' && byUser[userId] !== undefined) continue
    byUser[userId] = threadId === '' ? { ts } : { ts, thread_id: threadId }
  }
  return isEmpty ? undefined : `{"content":${JSON.stringify(content)},"type":"m.receipt"}`
}

function typingText(
  ctx: Pick<Context, 'typing'>,
  room: number,
  since: number,
  full: boolean,
  ignored: ReadonlySet<string>,
): string | undefined {
  const typing = ctx.typing.in(room)
  if (!typing || typing.counter <= since) return undefined
  const userIds = typing.userIds.filter((userId) => !ignored.has(userId))
  if (userIds.length === 0 && full) return undefined
  return `{"content":{"user_ids":${JSON.stringify(userIds)}},"type":"m.typing"}`
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
