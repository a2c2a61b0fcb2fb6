import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import { MAX_PREV_EVENTS } from '../matrix/limits.ts'
import type { Batch, Unit } from '../storage/batch.ts'
import { arrayText } from '../storage/operation.ts'
import { insertTransactions } from '../storage/room-state.ts'
import type { HotRoom } from './hot-room.ts'
import { type Appended, isAfterGap } from './place-event.ts'
import { numberEvent, type Transaction, writeEvent } from './write-event.ts'

export type { Transaction } from './write-event.ts'

type Engine = Pick<
  Context,
  'config' | 'dictionaries' | 'hotRooms' | 'writer' | 'clock' | 'domains' | 'sentTransactions'
>

/** What to append to a room: waits in `prepare`, decides in `append`. */
export type RoomWrite = {
  prepare(room: HotRoom): Promise<void>
  /** Synchronous. Empty: nothing has to be written. */
  append(room: HotRoom): readonly Appended[]
  /** The room must be held while it prepares. */
  readonly isAlone?: true
  readonly transaction?: Transaction
  /** More rows for the same commit. */
  also?(batch: Batch, appended: readonly Appended[]): void
}

/** Each is some milliseconds: where several processes write to one room without a pause, one of them can lose for a while. */
const attempts = 1000

/**
 * Appends events to a room and resolves when they are on disk. Starts again on fresh state as often as another process
 * was faster, and before it believes a refusal.
 *
 * @throws MatrixError M_NOT_FOUND for a room that is not known here; what `prepare` and `append` throw.
 */
export async function writeRoom(ctx: Engine, roomId: RoomId, write: RoomWrite): Promise<readonly Appended[]> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    try {
      const appended = await prepareAndWrite(ctx, room, write)
      if (appended) return appended
    } catch (error) {
      if (!(error instanceof MatrixError) || (!room.failed && (await ctx.hotRooms.isCurrent(room)))) throw error
    }
    ctx.hotRooms.drop(room)
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

/** Times a writer lets those who hold the room go first, before it holds the room itself. */
const patience = 3

async function prepareAndWrite(ctx: Engine, room: HotRoom, write: RoomWrite): Promise<readonly Appended[] | undefined> {
  // An event cannot name more predecessors than this, so the state before it has to be worked out.
  const mustHold = (): boolean => write.isAlone === true || room.extremities.length > MAX_PREV_EVENTS
  for (let waited = 0; waited < patience && !mustHold(); waited++) {
    if (room.isHeld) await room.released()
    if (room.failed) return undefined
    await write.prepare(room)
    if (room.failed) return undefined
    if (!room.isHeld && !mustHold()) return writeOnce(ctx, room, write)
  }
  const release = await room.hold()
  let writing: Promise<readonly Appended[] | undefined>
  try {
    if (room.failed) return undefined
    await write.prepare(room)
    if (room.failed) return undefined
    writing = writeOnce(ctx, room, write)
  } finally {
    // What is appended needs the room no longer.
    release()
  }
  return writing
}

/**
 * Appends at once, then writes. Whoever calls it has made sure in the same turn that the room is neither held by another
 * nor failed.
 *
 * @returns undefined when the room moved on: everything has to be done again on the room as it is then.
 */
export async function writeOnce(
  ctx: Engine,
  room: HotRoom,
  write: Omit<RoomWrite, 'prepare' | 'isAlone'>,
): Promise<readonly Appended[] | undefined> {
  const seen = room.version
  let appended: readonly Appended[]
  try {
    appended = write.append(room)
  } catch (error) {
    // Some of its events may have their place already.
    if (room.version !== seen) ctx.hotRooms.drop(room)
    throw error
  }
  if (appended.length === 0) return appended
  room.version = seen + 1
  const endWrite = room.beginWrite(appended.map(({ ref }) => ref))
  try {
    const outcome = await ctx.writer.write(unitOf(ctx, room, seen, appended, write))
    if (!outcome.committed) return undefined
    if (write.transaction) ctx.sentTransactions.remember(appended.at(-1)!.ref.nid, write.transaction)
    return appended
  } catch (error) {
    ctx.hotRooms.drop(room)
    throw error
  } finally {
    endWrite()
  }
}

/** Positions kept free before an event that has a gap before it, for what fills the gap one day. */
export const roomForHistory = 65_536

/** The unit that writes appended events. A room that is being created has no `seen` version yet. */
export function unitOf(
  ctx: Pick<Engine, 'config' | 'dictionaries' | 'clock' | 'domains'>,
  room: HotRoom,
  seen: number | undefined,
  appended: readonly Appended[],
  write: Pick<RoomWrite, 'transaction' | 'also'>,
): Unit<void> {
  const spans = appended.map((event) => (event.timeline && isAfterGap(event) ? roomForHistory : 0) + 1)
  return {
    positions: spans.reduce((sum, span) => sum + span, 0),
    ...(seen !== undefined && { room: { room: room.room, seen, lineage: room } }),
    write(batch, first) {
      let next = first
      const positions = spans.map((span) => {
        next += span
        return next - 1
      })
      // All of them first: they may name each other.
      appended.forEach((event, index) => {
        numberEvent(event, positions[index]!)
      })
      appended.forEach((event, index) => {
        writeEvent(ctx, batch, event, { position: positions[index]!, seen, transaction: write.transaction })
      })
      const last = appended.at(-1)!
      batch.saveRoom(room.room, { ...last.after, extremities: arrayText(last.after.extremities.map(({ nid }) => nid)) })
      const { transaction } = write
      if (transaction) {
        batch.add(insertTransactions, {
          user_nid: transaction.userNid,
          device_id: transaction.deviceId,
          scope: transaction.scope,
          txn_id: transaction.txnId,
          event_nid: last.ref.nid,
          created: ctx.clock.now(),
        })
      }
      write.also?.(batch, appended)
    },
  }
}
