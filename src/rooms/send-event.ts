import type { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type EventId, type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import { powerLevelsOf } from '../matrix/power-levels.ts'
import { upTo } from '../storage/caches.ts'
import { type Statement, statement } from '../storage/database.ts'
import { eventIdText } from '../storage/event-codec.ts'
import type { StoredEvent } from '../storage/events.ts'
import { type Appended, appendLocalEvent, type EventDraft, prepareAppend } from './append-event.ts'
import type { HotRoom } from './hot-room.ts'
import { unchangedState } from './local-event.ts'
import { isPolicyItself, policyServerOf } from './policy-server.ts'
import { sendRecommended } from './send-recommended.ts'
import { type RoomWrite, type Transaction, writeRoom } from './write-room.ts'

type Engine = Pick<
  Context,
  | 'config'
  | 'database'
  | 'domains'
  | 'clock'
  | 'random'
  | 'dictionaries'
  | 'hotRooms'
  | 'writer'
  | 'events'
  | 'sentTransactions'
  | 'audiences'
  | 'threadAudiences'
  | 'remoteServers'
>

/** The transactions of this process: those under way, and the answers of those that ended lately. */
export type SentTransactions = {
  readonly underWay: Map<string, Promise<EventId>>
  readonly ended: LRUCache<string, EventId>
  /** With which transaction id a device sent an event lately, for that device only. */
  idOf(eventNid: number, device: { userNid: number; deviceId: string | undefined }): string | undefined
  remember(eventNid: number, transaction: Transaction): void
}

/** What is not in memory any more is found in the database. */
const transactionsInMemory = 20_000

export function createSentTransactions({ caches }: Pick<Context, 'caches'>): SentTransactions {
  const byEvent = caches.lru<number, Transaction>('transactions by event', upTo(transactionsInMemory))
  return {
    underWay: new Map(),
    ended: caches.lru<string, EventId>('ended transactions', upTo(transactionsInMemory)),
    idOf(eventNid, { userNid, deviceId }) {
      const transaction = byEvent.get(eventNid)
      return transaction?.userNid === userNid && transaction.deviceId === deviceId ? transaction.txnId : undefined
    },
    remember: (eventNid, transaction) => byEvent.set(eventNid, transaction),
  }
}

const selectTransaction: Statement<{ event_id: Buffer; room_version: string }> = statement(
  'transaction',
  `select e.event_id, r.room_version from transactions t join events e using (event_nid) join rooms r using (room)
   where t.user_nid = $1 and t.device_id = $2 and t.scope = $3 and t.txn_id = $4`,
)

/**
 * Sends an event of one of our users to a room and resolves with its id when it is on disk. A repeated transaction gets
 * the answer of the first.
 *
 * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND (unknown room), M_TOO_LARGE; what the room's policy server says.
 */
export async function sendEvent(
  ctx: Engine,
  roomId: RoomId,
  draft: EventDraft,
  transaction?: Transaction,
): Promise<EventId> {
  if (!transaction) return appendOne(ctx, roomId, draft, undefined)
  const key = [transaction.userNid, transaction.deviceId, transaction.scope, transaction.txnId].join('\0')
  const { underWay, ended } = ctx.sentTransactions
  const answered = ended.get(key) ?? underWay.get(key)
  if (answered) return answered
  const sending = appendOnce(ctx, roomId, draft, transaction)
  underWay.set(key, sending)
  try {
    const eventId = await sending
    ended.set(key, eventId)
    return eventId
  } finally {
    underWay.delete(key)
  }
}

const uniqueViolation = '23505'

/** The primary key of the transactions is what tells a repeated one that this process has not seen. */
async function appendOnce(ctx: Engine, roomId: RoomId, draft: EventDraft, transaction: Transaction): Promise<EventId> {
  try {
    return await appendOne(ctx, roomId, draft, transaction)
  } catch (error) {
    const { userNid, deviceId, scope, txnId } = transaction
    const isRepeated = (error as { code?: string }).code === uniqueViolation
    // A repeated request must get its old answer also where the user may no longer send.
    if (!isRepeated && !(error instanceof MatrixError)) throw error
    const [row] = await ctx.database.read(selectTransaction, [userNid, deviceId, scope, txnId])
    if (!row) throw error
    const room = await ctx.hotRooms.get(roomId)
    return eventIdText(row.event_id, room!.rules.eventFormat)
  }
}

async function appendOne(
  ctx: Engine,
  roomId: RoomId,
  draft: EventDraft,
  transaction: Transaction | undefined,
): Promise<EventId> {
  if (await needsRecommendation(ctx, roomId, draft)) return sendRecommended(ctx, roomId, draft, transaction)
  let existing: EventId | undefined
  let target: StoredEvent | undefined
  const write: RoomWrite = {
    ...(transaction && { transaction }),
    async prepare(room) {
      await prepareAppend(ctx, room, [draft])
      if (draft.redacts !== undefined) target = await redactionTarget(ctx, room, draft.redacts)
    },
    append(room) {
      existing = unchangedState(room, draft)
      if (existing) return []
      const redacts = target && mayRedact(room, draft, target) ? target : undefined
      return [appendLocalEvent(ctx, room, draft, redacts && { redacts })]
    },
  }
  const [appended] = await writeRoom(ctx, roomId, write)
  return existing ?? (appended as Appended).ref.event.eventId
}

async function needsRecommendation(ctx: Engine, roomId: RoomId, draft: EventDraft): Promise<boolean> {
  if (isPolicyItself({ type: draft.type, ...(draft.stateKey !== undefined && { state_key: draft.stateKey }) }))
    return false
  const room = await ctx.hotRooms.get(roomId)
  return room !== undefined && (await policyServerOf(ctx, room)) !== undefined
}

/** The event to redact, when it is in this room. */
export async function redactionTarget(
  ctx: Pick<Context, 'events'>,
  room: HotRoom,
  eventId: EventId,
): Promise<StoredEvent | undefined> {
  const [target] = await ctx.events.byIds([eventId])
  return target?.room === room.room ? target : undefined
}

/**
 * Whether a redaction is applied. Spec: Server-Server API and room version 3, "Handling redactions": the redact level, or
 * the same sender's domain.
 */
export function mayRedact(
  room: HotRoom,
  draft: Pick<EventDraft, 'sender'>,
  target: StoredEvent,
  options: { byLevel?: boolean } = {},
): boolean {
  // Pruning the create event would unmake the room.
  if (target.event.pdu.type === 'm.room.create') return false
  const isOfSameServer = serverNameOf(target.event.pdu.sender) === serverNameOf(draft.sender)
  if (isOfSameServer && !options.byLevel) return true
  return mayRedactAll(room, draft.sender)
}

/** Whether somebody may redact events of everybody. */
export function mayRedactAll(room: HotRoom, userId: UserId): boolean {
  const levels = powerLevelsOf(
    room.get('m.room.power_levels', '')?.pdu.content,
    room.get('m.room.create', '')!,
    room.rules,
  )
  return levels.userLevel(userId) >= levels.redact
}
