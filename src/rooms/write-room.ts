import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import { serverNameOf } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { redact } from '../matrix/redaction.ts'
import { eventIdBytes, restOf } from '../storage/event-codec.ts'
import { eventRow, insertEvents, redactEvents, type StoredEvent, storedState } from '../storage/events.ts'
import { closeRoomState, insertRelations, insertTransactions, openRoomState, saveRooms } from '../storage/room-state.ts'
import { type Membership, membershipCodes, saveMemberships, saveReadPositions } from '../storage/room-users.ts'
import type { Fact, StateChangeFact } from '../storage/stream.ts'
import { arrayText, type Batch, type Unit } from '../storage/writer.ts'
import type { Appended } from './append-event.ts'
import type { HotRoom } from './hot-room.ts'
import { relationOf } from './relations.ts'

type Engine = Pick<Context, 'dictionaries' | 'hotRooms' | 'writer' | 'clock' | 'domains' | 'sentTransactions'>

/** The transaction id a client sent an event with, and what it asked for. */
export type Transaction = {
  readonly userNid: number
  readonly deviceId: string
  readonly scope: string
  readonly txnId: string
}

/** What to append to a room: waits in `prepare`, decides in `append`. */
export type RoomWrite = {
  prepare(room: HotRoom): Promise<void>
  /** Synchronous. Empty: nothing has to be written. */
  append(room: HotRoom): readonly Appended[]
  readonly transaction?: Transaction
  /** More rows for the same commit. */
  also?(batch: Batch, appended: readonly Appended[]): void
}

const attempts = 20

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
      await write.prepare(room)
      if (room.failed) continue
      const appended = await writeOnce(ctx, room, write)
      if (appended) return appended
    } catch (error) {
      if (!(error instanceof MatrixError) || (!room.failed && (await ctx.hotRooms.isCurrent(room)))) throw error
    }
    ctx.hotRooms.drop(room)
  }
  throw new MatrixError('M_LIMIT_EXCEEDED', 'The room is too busy', { status: 503 })
}

async function writeOnce(ctx: Engine, room: HotRoom, write: RoomWrite): Promise<readonly Appended[] | undefined> {
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
  room.pending++
  try {
    const outcome = await ctx.writer.write(unitOf(ctx, room, seen, appended, write))
    return outcome.committed ? appended : undefined
  } catch (error) {
    ctx.hotRooms.drop(room)
    throw error
  } finally {
    room.pending--
  }
}

/** The unit that writes appended events. A room that is being created has no `seen` version yet. */
export function unitOf(
  ctx: Pick<Engine, 'dictionaries' | 'clock' | 'domains' | 'sentTransactions'>,
  room: HotRoom,
  seen: number | undefined,
  appended: readonly Appended[],
  write: Pick<RoomWrite, 'transaction' | 'also'>,
): Unit<void> {
  return {
    positions: appended.length,
    ...(seen !== undefined && { room: { room: room.room, seen, lineage: room } }),
    write(batch, first) {
      appended.forEach((event, index) => {
        writeEvent(ctx, batch, event, first + index, write.transaction)
      })
      const last = appended.at(-1)!
      batch.add(saveRooms, {
        room: room.room,
        extremities: arrayText(last.after.extremities.map(({ nid }) => nid)),
        notify_count: last.after.notifyCount,
        highlight_count: last.after.highlightCount,
        joined_members: last.after.joinedMembers,
        invited_members: last.after.invitedMembers,
        depth: last.after.depth,
      })
      const { transaction } = write
      if (transaction) {
        ctx.sentTransactions.remember(last.ref.nid, transaction)
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

function writeEvent(
  ctx: Pick<Engine, 'dictionaries' | 'domains'>,
  batch: Batch,
  appended: Appended,
  position: number,
  transaction: Transaction | undefined,
): void {
  const { ref, room, after } = appended
  ref.nid = position
  const stored: StoredEvent = {
    nid: position,
    room: room.room,
    timeline: appended.timeline ? position : null,
    flags: appended.flags,
    notifyIndex: after.notifyCount,
    stateDelta: appended.stateDelta,
    kind: ref.kind,
    senderNid: ref.senderNid,
    redactedBy: null,
    inColumns: { edges: true, proof: true },
    event: ref.event,
  }
  batch.add(
    insertEvents,
    eventRow(ref.event, room.rules, {
      ...stored,
      sender: ref.senderNid,
      prev: appended.prev.map((prev) => prev?.nid),
      auth: appended.auth.map((auth) => auth?.nid),
      signer: serverNameOf(ref.event.pdu.sender)!,
    }),
  )
  const changes = appended.changes.map((change) => writeStateChange(batch, appended, change, position, stored))
  const memberships = writeMemberships(ctx, batch, appended, position)
  if (appended.redacts) writeRedaction(batch, room, appended.redacts, position)
  const relation = relationOf(ref.event.pdu.content)
  if (relation && ref.event.pdu.state_key === undefined) {
    batch.add(insertRelations, {
      room: room.room,
      parent: eventIdBytes(relation.eventId),
      relation: relation.relType,
      event_nid: position,
      kind: ref.kind,
      sender: ref.senderNid,
      key: relation.key ?? null,
    })
  }
  if (appended.timeline && ctx.domains.isLocal(serverNameOf(ref.event.pdu.sender))) {
    batch.add(saveReadPositions, {
      user_nid: ref.senderNid,
      room: room.room,
      read_position: position,
      read_notify_index: after.notifyCount,
      read_highlight_index: after.highlightCount,
    })
  }
  batch.fact({
    kind: 'event',
    position,
    roomId: room.roomId,
    stored,
    changes,
    replaced: replacedBy(appended),
    memberships,
    transaction: transaction && { deviceId: transaction.deviceId, txnId: transaction.txnId },
    room: after,
  } satisfies Fact)
}

function replacedBy({ ref, changes, room }: Appended): StoredEvent | undefined {
  const own = changes.find((change) => change.to?.ref === ref)
  return own?.from && storedState(room.room, own.from.ref)
}

function writeStateChange(
  batch: Batch,
  appended: Appended,
  change: Appended['changes'][number],
  position: number,
  stored: StoredEvent,
): StateChangeFact {
  const { room } = appended.room
  if (change.to) change.to.since = position
  batch.add(openRoomState, {
    room,
    kind: change.kind,
    is_member: change.type === 'm.room.member',
    from_position: position,
    event_nid: change.to ? change.to.ref.nid : null,
  })
  if (change.from) {
    batch.add(closeRoomState, { room, kind: change.kind, from_position: change.from.since, to_position: position })
  }
  const to = change.to?.ref
  return {
    type: change.type,
    stateKey: change.stateKey,
    kind: change.kind,
    // A resolution can bring back an event that was stored long ago.
    to: to ? (to === appended.ref ? stored : storedState(room, to)) : null,
  }
}

function writeMemberships(
  ctx: Pick<Engine, 'dictionaries'>,
  batch: Batch,
  appended: Appended,
  position: number,
): { userNid: number; membership: Membership; eventNid: number }[] {
  const written: { userNid: number; membership: Membership; eventNid: number }[] = []
  for (const change of appended.changes) {
    if (change.type !== 'm.room.member') continue
    const membership = (change.to?.ref.event.pdu.content.membership ?? 'leave') as Membership
    const code = membershipCodes[membership]
    const userNid = ctx.dictionaries.cachedUser(change.stateKey as `@${string}`)
    if (userNid === undefined) throw new Error(`${change.stateKey} has no number`)
    if (code === undefined) continue
    const eventNid = change.to?.ref.nid ?? position
    batch.add(saveMemberships, {
      user_nid: userNid,
      room: appended.room.room,
      membership: code,
      event_nid: eventNid,
      since: position,
      notify_index: appended.after.notifyCount,
      highlight_index: appended.after.highlightCount,
    })
    written.push({ userNid, membership, eventNid })
  }
  return written
}

function writeRedaction(batch: Batch, room: HotRoom, target: StoredEvent, position: number): void {
  const pruned = redact(target.event.pdu, room.rules)
  batch.add(redactEvents, {
    event_nid: target.nid,
    content: JSON.stringify(pruned.content as JsonObject),
    rest: restOf(pruned, target.inColumns),
    redacted_by: position,
  })
}
