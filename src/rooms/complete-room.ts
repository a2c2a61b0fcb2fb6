import type { Context } from '../context.ts'
import type { EventId, UserId } from '../matrix/ids.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import { eventNumbers, judgeEvents, withdrawEvents } from '../storage/event-graph.ts'
import { EventFlags } from '../storage/events.ts'
import type { Fact } from '../storage/facts.ts'
import { completeRooms, type EarlierState, insertEarlierState } from '../storage/partial-rooms.ts'
import { saveRooms } from '../storage/room-state.ts'
import { type Membership, membershipCodes } from '../storage/room-users.ts'
import { arrayText, type Batch } from '../storage/writer.ts'
import type { DecisionEngine } from './decide-event.ts'
import type { HotRoom } from './hot-room.ts'
import { type Correction, judgeAgain } from './judge-again.ts'
import { writeEntry, writeMemberships } from './write-event.ts'

type Engine = DecisionEngine & Pick<Context, 'writer' | 'invalidations'>

/** Entries written in one transaction: others wait for it who write to the room. */
const entriesAtOnce = 1000
const attempts = 20

/**
 * Gives a room that was joined without its members the state that held before the join. What changed since stays as it is, but for
 * what turns out to be wrong now. The room is complete from then on, and those who wait for it are told.
 *
 * @param state The events of that state, which must be stored; what is not, or is rejected, is no part of it.
 * @param joinPosition Where our join is in the timeline.
 */
export async function completeRoom(
  ctx: Engine,
  room: HotRoom,
  state: readonly EventId[],
  joinPosition: number,
): Promise<void> {
  for (let start = 0; start < state.length; start += entriesAtOnce) {
    const entries = await earlierState(ctx, room, state.slice(start, start + entriesAtOnce))
    await ctx.database.transaction((query) => insertEarlierState(query, room.room, joinPosition, entries))
  }
  for (let attempt = 0; attempt < attempts; attempt++) {
    const current = await ctx.hotRooms.getByNid(room.room)
    if (!current || (await markComplete(ctx, current, joinPosition))) return
    ctx.hotRooms.drop(current)
  }
  throw new Error('The room is too busy to be completed')
}

async function earlierState(ctx: Engine, room: HotRoom, eventIds: readonly EventId[]): Promise<EarlierState[]> {
  const rows = await ctx.database.read(eventNumbers, [eventIds.map(eventIdBytes)])
  const usable = rows.filter(
    (row) => row.room === room.room && (row.flags & EventFlags.state) !== 0 && (row.flags & EventFlags.rejected) === 0,
  )
  const events = await ctx.events.byNids(usable.map((row) => row.event_nid))
  const members = events.filter(({ event }) => event.pdu.type === 'm.room.member')
  const users = await ctx.dictionaries.internUsers(members.map(({ event }) => event.pdu.state_key as UserId))
  return events.map(({ nid, kind, event }) => {
    const { type, state_key: stateKey, content } = event.pdu
    const isMember = type === 'm.room.member'
    return {
      kind,
      event_nid: nid,
      user_nid: isMember ? users.get(stateKey as UserId)! : null,
      membership: isMember ? (membershipCodes[content.membership as Membership] ?? membershipCodes.leave) : null,
    }
  })
}

/** False when the room moved on meanwhile. */
async function markComplete(ctx: Engine, room: HotRoom, joinPosition: number): Promise<boolean> {
  const release = await room.hold()
  try {
    if (room.failed) return false
    const seen = room.version
    const correction = await judgeAgain(ctx, room, joinPosition)
    if (room.failed || room.version !== seen) return false
    room.version = seen + 1
    const endWrite = room.beginWrite([])
    try {
      const outcome = await ctx.writer.write({
        positions: 1,
        room: { room: room.room, seen, lineage: room },
        write(batch, first) {
          const concerned = correction ? writeCorrection(ctx, batch, room, correction, first) : []
          batch.add(completeRooms, { room: room.room, completed_at: first, corrected: correction !== undefined })
          const { room: number, roomId } = room
          const isCorrected = correction !== undefined
          batch.fact({ kind: 'roomCompleted', position: first, room: number, roomId, isCorrected } satisfies Fact)
          return concerned
        },
      })
      if (!outcome.committed) return false
      if (correction) {
        // What is in memory of the room has what is no part of it.
        ctx.invalidations.publish('room', room.roomId)
        for (const userNid of outcome.result) ctx.invalidations.publish('user-rooms', `${userNid}`)
      }
      return true
    } finally {
      endWrite()
    }
  } finally {
    release()
  }
}

/** @returns the users whose membership is another. */
function writeCorrection(
  ctx: Engine,
  batch: Batch,
  room: HotRoom,
  { events, changes, extremities }: Correction,
  position: number,
): number[] {
  for (const { nid, timeline, flags, stateDelta, isWithdrawn } of events) {
    batch.add(judgeEvents, { event_nid: nid, timeline, flags, state_delta: stateDelta })
    if (isWithdrawn) batch.add(withdrawEvents, { event_nid: nid })
  }
  for (const change of changes) writeEntry(batch, room.room, change, position)
  const { notifyCount, highlightCount } = room
  const memberships = writeMemberships(ctx, batch, room, changes, { position, notifyCount, highlightCount })
  batch.add(saveRooms, {
    room: room.room,
    extremities: arrayText(extremities.map(({ nid }) => nid)),
    notify_count: notifyCount,
    highlight_count: highlightCount,
    // Counted anew with the completion.
    joined_members: room.joinedMembers,
    invited_members: room.invitedMembers,
    depth: room.depth,
  })
  return memberships.map(({ userNid }) => userNid)
}
