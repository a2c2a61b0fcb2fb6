import { parseRoomId, type RoomId } from '../matrix/ids.ts'
import { roomRules } from '../matrix/room-versions.ts'
import { type Caches, upTo } from '../storage/caches.ts'
import type { Database } from '../storage/database.ts'
import type { Dictionaries } from '../storage/dictionaries.ts'
import type { EventStore, StoredEvent } from '../storage/events.ts'
import type { EventFact } from '../storage/facts.ts'
import { type RoomRow, roomById, roomsByNid, roomVersionNumber } from '../storage/rooms.ts'
import { createStateDeltaIds, type StateDeltaIds } from '../storage/state-deltas.ts'
import type { Stream } from '../storage/stream.ts'
import { createThreadPool } from '../thread-pool.ts'
import { type AuthGraphs, createAuthGraphs } from './auth-graphs.ts'
import { followRoom } from './follow-room.ts'
import { type EventRef, HotRoom } from './hot-room.ts'
import type { ResolverThreads } from './resolver.ts'

/** A key of the room state. */
export type StateTuple = readonly [type: string, stateKey: string]

/** The rooms that this process works with, in memory. */
export type HotRooms = {
  /** The room, or undefined when this deployment does not know it. */
  get(roomId: RoomId): Promise<HotRoom | undefined>
  getByNid(room: number): Promise<HotRoom | undefined>
  /** From memory alone. */
  peek(roomId: RoomId): HotRoom | undefined
  peekByNid(room: number): HotRoom | undefined
  /** Makes entries of the current state known to the room. A room that knows them all costs no statement. */
  load(room: HotRoom, keys: readonly StateTuple[]): Promise<void> | undefined
  /** Forgets a room whose memory is no longer what the database says. */
  drop(room: HotRoom): void
  /** Takes in a room that was just created here. */
  adopt(room: HotRoom): void
  /** Whether the room in memory is what the database holds; asked before a refusal that another process may have made void. */
  isCurrent(room: HotRoom): Promise<boolean>
  readonly authGraphs: AuthGraphs
  readonly stateDeltas: StateDeltaIds
  /** Threads that resolve states which differ in much. */
  readonly resolvers: ResolverThreads
}

const hotRoomsMax = 10_000
/** Times that a room is read until it did not move meanwhile. */
const openAttempts = 3
/** Milliseconds after which a room that moved each time is held against the database. */
const lookAgainAfter = 1000

/** Entries that nearly every event needs, fetched along with the room. */
const usualEntries: readonly StateTuple[] = [
  ['m.room.create', ''],
  ['m.room.power_levels', ''],
  ['m.room.join_rules', ''],
  ['m.room.history_visibility', ''],
  ['m.room.encryption', ''],
  ['m.room.name', ''],
  ['m.room.topic', ''],
  ['m.room.avatar', ''],
  ['m.room.canonical_alias', ''],
  ['m.room.guest_access', ''],
  ['m.room.server_acl', ''],
  ['m.room.tombstone', ''],
  ['m.room.policy', ''],
]

export function refOf(stored: StoredEvent): EventRef {
  return { nid: stored.nid, kind: stored.kind, senderNid: stored.senderNid, event: stored.event }
}

export function createHotRooms(ctx: {
  database: Pick<Database, 'read'>
  caches: Caches
  dictionaries: Dictionaries
  events: EventStore
  stream: Stream
}): HotRooms {
  const rooms = ctx.caches.lru<RoomId, HotRoom>('rooms', upTo(hotRoomsMax))
  const byNid = new Map<number, RoomId>()
  const loading = new Map<RoomId, Promise<HotRoom | undefined>>()

  const remember = (room: HotRoom): void => {
    rooms.set(room.roomId, room)
    byNid.set(room.room, room.roomId)
    if (byNid.size > 2 * hotRoomsMax) {
      for (const [nid, roomId] of byNid) if (!rooms.has(roomId)) byNid.delete(nid)
    }
  }

  const load = (room: HotRoom, keys: readonly StateTuple[]): Promise<void> | undefined => {
    const missing = keys.filter(([type, stateKey]) => !room.knows(type, stateKey))
    return missing.length === 0 ? undefined : loadMissing(room, missing)
  }

  const loadMissing = async (room: HotRoom, missing: readonly StateTuple[]): Promise<void> => {
    const kinds = await ctx.dictionaries.findKinds(missing.map(([type, stateKey]) => ({ type, stateKey })))
    const entries = kinds.size === 0 ? [] : await ctx.events.currentState(room.room, [...kinds.values()])
    const found = new Map(entries.map((entry) => [entry.stored.kind, entry]))
    for (const [type, stateKey] of missing) {
      // Written meanwhile: the room knows better than what was read.
      if (room.knows(type, stateKey)) continue
      const kind = ctx.dictionaries.cachedKind(`${type}\0${stateKey}`)
      const entry = kind === undefined ? undefined : found.get(kind)
      room.set(type, stateKey, entry && { ref: refOf(entry.stored), since: entry.since })
    }
  }

  const open = async (roomId: RoomId, attempt = 1): Promise<HotRoom | undefined> => {
    const row = (await ctx.database.read(roomById, [roomId]))[0] as RoomRow | undefined
    if (!row || row.version === 0) return undefined
    const rules = roomRules(row.room_version)
    if (!rules) throw new Error(`the database holds a room of version ${row.room_version}`)
    const extremities = (await ctx.events.byNids(row.extremities)).map(refOf)
    const room = new HotRoom(row, extremities, rules)
    await load(room, usualEntries)
    // Everything above should be of one moment: the version is what tells.
    if (attempt < openAttempts && !(await isCurrent(room))) return open(roomId, attempt + 1)
    remember(room)
    if (attempt === openAttempts) lookAgain(room)
    return room
  }

  /**
   * A room that another process does not cease to write to is taken as it is read: nothing can be written on a version that has
   * passed, and the next event puts it right. What was the last may have been told before it was here to follow.
   */
  const lookAgain = (room: HotRoom): void => {
    const look = async (): Promise<void> => {
      const [row] = await ctx.database.read(roomVersionNumber, [room.room])
      if (row === undefined || row.version > room.version) drop(room)
    }
    setTimeout(() => void look().catch(() => drop(room)), lookAgainAfter).unref()
  }

  const isCurrent = async (room: HotRoom): Promise<boolean> => {
    const row = (await ctx.database.read(roomVersionNumber, [room.room]))[0]
    return row?.version === room.version
  }

  const get = async (roomId: RoomId): Promise<HotRoom | undefined> => {
    const room = rooms.get(roomId)
    if (room && !room.failed) return room
    let opening = loading.get(roomId)
    if (!opening) {
      opening = open(roomId).finally(() => loading.delete(roomId))
      loading.set(roomId, opening)
    }
    return opening
  }

  /** Another process wrote to a room that is hot here: follow it, or when that cannot be done exactly, forget the room. */
  const followOther = (fact: EventFact): void => {
    const room = rooms.peek(fact.roomId as RoomId)
    // What was loaded after the commit has it already.
    if (!room || room.failed || room.version > fact.room.version) return
    if (!followRoom(room, fact)) drop(room)
  }

  const drop = (room: HotRoom): void => {
    room.failed = true
    if (rooms.peek(room.roomId) === room) rooms.delete(room.roomId)
  }

  ctx.stream.follow((facts, { isOurs }) => {
    for (const fact of facts) {
      if (fact.kind === 'event' && !isOurs) followOther(fact)
      // What memory took for absent may be there now.
      const completed = fact.kind === 'roomCompleted' ? rooms.peek(fact.roomId) : undefined
      if (completed) drop(completed)
    }
  })

  return {
    get,
    async getByNid(nid) {
      const known = byNid.get(nid)
      if (known !== undefined) return get(known)
      const row = (await ctx.database.read(roomsByNid, [[nid]]))[0]
      // Of a room that was deleted there is a row left, with an id that is none.
      return row && parseRoomId(row.room_id) && get(row.room_id)
    },
    peek: (roomId) => rooms.peek(roomId),
    peekByNid(nid) {
      const roomId = byNid.get(nid)
      return roomId === undefined ? undefined : rooms.peek(roomId)
    },
    load,
    drop,
    adopt: remember,
    isCurrent,
    authGraphs: createAuthGraphs(ctx),
    stateDeltas: createStateDeltaIds(ctx.database),
    resolvers: createThreadPool(new URL('./resolver-thread.ts', import.meta.url)),
  }
}
