import type { Context } from '../context.ts'
import { type EventId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { Batch } from '../storage/batch.ts'
import { eventIdBytes } from '../storage/event-codec.ts'
import { eventNumbers, judgeEvents, withdrawEvents } from '../storage/event-graph.ts'
import { EventFlags, type StoredEvent } from '../storage/events.ts'
import type { Fact } from '../storage/facts.ts'
import { arrayText } from '../storage/operation.ts'
import { completeRooms, type EarlierState, insertEarlierState, openPartialRoom } from '../storage/partial-rooms.ts'
import { type Membership, membershipCodes } from '../storage/room-users.ts'
import { insertDeviceListChanges, membersWithChangedDevices } from '../storage/user-data.ts'
import type { DecisionEngine } from './decide-event.ts'
import type { HotRoom } from './hot-room.ts'
import { type Correction, type Judged, judgeAgain } from './judge-again.ts'
import type { RoomState } from './state-at.ts'
import { remoteNameWords, writeEntry, writeMemberships } from './write-event.ts'

type Engine = DecisionEngine & Pick<Context, 'writer' | 'invalidations'>

/** Entries written in one transaction: others wait for it who write to the room. */
const entriesAtOnce = 1000
const attempts = 20

/** Our join of a room without its members. */
export type PartialJoin = {
  /** As it has its place in the timeline. */
  readonly stored: StoredEvent & { readonly timeline: number }
  /** The room was known from before: the state holds from the join on, and what was known before it holds until then. */
  readonly returned: boolean
}

/**
 * Gives a room that was joined without its members the state that held before the join. What changed since stays as it is, but for
 * what turns out to be wrong now. The room is complete from then on, and those who wait for it are told. Nothing happens where
 * the room was joined anew meanwhile.
 *
 * @param state The events of that state, which must be stored; what is not, or is rejected, is no part of it.
 */
export async function completeRoom(
  ctx: Engine,
  room: HotRoom,
  state: readonly EventId[],
  join: PartialJoin,
): Promise<void> {
  const { stored, returned } = join
  const position = returned ? stored.timeline : stored.timeline - 1
  const place = { room: room.room, join: stored.event.eventId, position }
  let own = 0
  for (let start = 0; start < state.length; start += entriesAtOnce) {
    const entries = await earlierState(ctx, room, state.slice(start, start + entriesAtOnce))
    own = entries.find(({ kind }) => kind === stored.kind)?.event_nid ?? own
    if (!(await ctx.database.transaction((query) => insertEarlierState(query, place, entries)))) return
  }
  const before = { base: position, entries: new Map([[stored.kind, own]]) }
  for (let attempt = 0; attempt < attempts; attempt++) {
    const current = await ctx.hotRooms.getByNid(room.room)
    if (!current || (await markComplete(ctx, current, join, before))) return
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
      words: isMember && !ctx.domains.isLocal(serverNameOf(stateKey as UserId)) ? remoteNameWords(content) : null,
    }
  })
}

/**
 * @param before The state before the join.
 * @returns false when the room moved on meanwhile.
 */
async function markComplete(ctx: Engine, room: HotRoom, join: PartialJoin, before: RoomState): Promise<boolean> {
  const { stored } = join
  const release = await room.hold()
  try {
    if (room.failed) return false
    const seen = room.version
    const [open] = await ctx.database.read(openPartialRoom, [room.room])
    if (open?.join_event !== stored.event.eventId) return true
    const correction = await judgeAgain(ctx, room, stored)
    const devices = await ctx.database.read(membersWithChangedDevices, [room.room, stored.timeline])
    const joinDelta = join.returned ? await ctx.hotRooms.stateDeltas.idOf(room, before) : stored.stateDelta
    if (room.failed || room.version !== seen) return false
    room.version = seen + 1
    const endWrite = room.beginWrite([])
    try {
      const outcome = await ctx.writer.write({
        positions: 1 + devices.length,
        room: { room: room.room, seen, lineage: room },
        write(batch, first) {
          batch.add(judgeEvents, judgedRow({ ...stored, stateDelta: joinDelta }))
          const concerned = correction ? writeCorrection(ctx, batch, room, correction, first) : []
          const isCorrected = correction !== undefined
          batch.add(completeRooms, { room: room.room, completed_at: first, corrected: isCorrected })
          const { room: number, roomId } = room
          batch.fact({ kind: 'roomCompleted', position: first, room: number, roomId, isCorrected } satisfies Fact)
          // Who shares the room with them was not known when it happened.
          devices.forEach(({ user_nid: userNid }, index) => {
            const position = first + 1 + index
            batch.add(insertDeviceListChanges, { position, user_nid: userNid, reader_nid: null })
            batch.fact({ kind: 'deviceList', position, userNid } satisfies Fact)
          })
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

function judgedRow({ nid, timeline, flags, stateDelta }: Omit<Judged, 'isWithdrawn'>) {
  return { event_nid: nid, timeline, flags, state_delta: stateDelta }
}

/** @returns the users whose membership is another. */
function writeCorrection(
  ctx: Engine,
  batch: Batch,
  room: HotRoom,
  { events, changes, extremities }: Correction,
  position: number,
): number[] {
  for (const event of events) {
    batch.add(judgeEvents, judgedRow(event))
    if (event.isWithdrawn) batch.add(withdrawEvents, { event_nid: event.nid })
  }
  for (const change of changes) writeEntry(batch, room.room, change, position)
  const { notifyCount, highlightCount, joinedMembers, invitedMembers, depth } = room
  const memberships = writeMemberships(ctx, batch, room, changes, { position, notifyCount, highlightCount })
  batch.saveRoom(room.room, {
    extremities: arrayText(extremities.map(({ nid }) => nid)),
    notifyCount,
    highlightCount,
    // Counted anew with the completion.
    joinedMembers,
    invitedMembers,
    depth,
  })
  return memberships.map(({ userNid }) => userNid)
}
