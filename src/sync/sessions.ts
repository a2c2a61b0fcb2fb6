import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import { type Membership, membershipCodes, membershipOf, roomsOfUser } from '../storage/room-users.ts'
import type { Fact } from '../storage/stream.ts'

/** A room in the life of a user, as the stream has told so far. */
export type UserRoom = {
  readonly room: number
  readonly roomId: RoomId
  membership: Membership
  /** Since which position. */
  since: number
  eventNid: number
  /** What it was before the last change. */
  before: Membership
  forgotten: boolean
  readPosition: number
  readNotifyIndex: number
  readHighlightIndex: number
  /** The position of the last change of what the user has read. */
  readAt: number
}

type AccountDataFact = Extract<Fact, { kind: 'accountData' }>
type ToDeviceFact = Extract<Fact, { kind: 'toDevice' }>

/** A user who asked for something lately: rooms, and what happened since. */
export type Session = {
  readonly userId: UserId
  readonly userNid: number
  readonly rooms: Map<number, UserRoom>
  /** Everything that concerns the user alone and came after this position is here. */
  completeAfter: number
  /** The position of the last thing the user is told that is not of a room. */
  last: number
  readonly accountData: AccountDataFact[]
  readonly toDevice: ToDeviceFact[]
  /** Changes of device lists of users who share a room with this one, and of who shares one. */
  readonly deviceLists: { position: number; userNid: number; left: boolean }[]
  readonly waiters: Set<() => void>
}

export type Sessions = {
  of(user: { userId: UserId; userNid: number }): Promise<Session>
  peek(userNid: number): Session | undefined
  /** Sessions of users who are joined to a room. */
  inRoom(room: number): Iterable<Session>
  wakeRoom(room: number): void
}

const sessionsMax = 20_000
const recentMax = 200

export function createSessions(ctx: Pick<Context, 'database' | 'stream' | 'dictionaries'>): Sessions {
  const byRoom = new Map<number, Set<Session>>()
  const sessions = new LRUCache<number, Session>({
    max: sessionsMax,
    dispose(session) {
      for (const room of session.rooms.keys()) leaveIndex(session, room)
      for (const wake of session.waiters) wake()
    },
  })
  const loading = new Map<number, { facts: Fact[]; session: Promise<Session> }>()

  const enterIndex = (session: Session, room: number): void => {
    const set = byRoom.get(room)
    if (set) set.add(session)
    else byRoom.set(room, new Set([session]))
  }
  const leaveIndex = (session: Session, room: number): void => {
    const set = byRoom.get(room)
    set?.delete(session)
    if (set?.size === 0) byRoom.delete(room)
  }

  const load = async (user: { userId: UserId; userNid: number }, facts: Fact[]): Promise<Session> => {
    const position = ctx.stream.position
    const rows = await ctx.database.read(roomsOfUser, [user.userNid])
    const session: Session = {
      ...user,
      rooms: new Map(
        rows.map((row) => [
          row.room,
          {
            room: row.room,
            roomId: row.room_id,
            membership: membershipOf(row.membership),
            since: row.since,
            eventNid: row.event_nid,
            before: 'leave',
            forgotten: row.forgotten,
            readPosition: row.read_position,
            readNotifyIndex: row.read_notify_index,
            readHighlightIndex: row.read_highlight_index,
            readAt: row.read_position,
          },
        ]),
      ),
      completeAfter: position,
      last: position,
      accountData: [],
      toDevice: [],
      deviceLists: [],
      waiters: new Set(),
    }
    for (const fact of facts) applyFact(session, fact)
    for (const room of session.rooms.values()) if (room.membership === 'join') enterIndex(session, room.room)
    // In the same turn as the last look at the waiting facts, so that none falls in between.
    loading.delete(user.userNid)
    sessions.set(user.userNid, session)
    return session
  }

  const applyFact = (session: Session, fact: Fact): void => {
    if (fact.kind === 'event') {
      for (const change of fact.memberships) {
        if (change.userNid === session.userNid) applyMembership(session, fact.stored.room, change, fact)
      }
      // Whoever sends has read what came before.
      const room = fact.stored.senderNid === session.userNid ? session.rooms.get(fact.stored.room) : undefined
      if (room && fact.stored.timeline !== null) readUpTo(room, fact.position, fact.room, fact.position)
      return
    }
    if (fact.kind === 'receipt' || fact.userNid !== session.userNid) return
    if (fact.kind === 'read') {
      const room = session.rooms.get(fact.room)
      const index = { notifyCount: fact.notifyIndex, highlightCount: fact.highlightIndex }
      if (room) readUpTo(room, fact.readPosition, index, fact.position)
    } else if (fact.kind === 'accountData') remember(session, session.accountData, fact)
    else if (fact.kind === 'toDevice') remember(session, session.toDevice, fact)
  }

  const wake = (session: Session): void => {
    if (session.waiters.size === 0) return
    for (const waiter of session.waiters) waiter()
  }

  const sharers = (room: number): Iterable<Session> => byRoom.get(room) ?? []

  /** Who may see each other's devices changes with every join and leave: client-server API, "Tracking device lists". */
  const deviceListsAfter = (fact: Extract<Fact, { kind: 'event' }>): void => {
    for (const { userNid, membership } of fact.memberships) {
      for (const session of sharers(fact.stored.room)) {
        const left = membership !== 'join'
        if (session.userNid !== userNid) {
          remember(session, session.deviceLists, { position: fact.position, userNid, left })
        }
      }
    }
  }

  ctx.stream.follow((facts) => {
    const woken = new Set<Session>()
    for (const fact of facts) {
      for (const { facts: waiting } of loading.values()) waiting.push(fact)
      if (fact.kind === 'event') {
        for (const { userNid, membership } of fact.memberships) {
          const session = sessions.peek(userNid)
          if (!session) continue
          applyFact(session, fact)
          if (membership === 'join') enterIndex(session, fact.stored.room)
          else leaveIndex(session, fact.stored.room)
          woken.add(session)
        }
        const sender = sessions.peek(fact.stored.senderNid)
        if (sender) applyFact(sender, fact)
        if (fact.memberships.length > 0) deviceListsAfter(fact)
        for (const session of sharers(fact.stored.room)) woken.add(session)
      } else if (fact.kind === 'receipt') {
        for (const session of sharers(fact.room)) woken.add(session)
      } else if (fact.kind === 'deviceList') {
        for (const session of sessions.values()) {
          // @TODO an index from users to the sessions that share a room with them
          const shares = session.userNid === fact.userNid || sharesRoom(session, fact.userNid)
          if (!shares) continue
          remember(session, session.deviceLists, { position: fact.position, userNid: fact.userNid, left: false })
          woken.add(session)
        }
      } else {
        const session = sessions.peek(fact.userNid)
        if (!session) continue
        applyFact(session, fact)
        woken.add(session)
      }
    }
    // After the position has moved on, or they would find nothing.
    if (woken.size > 0) queueMicrotask(() => woken.forEach(wake))
  })

  /** Whether a user whose session is here shares a room; for others the database is asked when they sync. */
  const sharesRoom = (session: Session, userNid: number): boolean => {
    const other = sessions.peek(userNid)
    if (!other) return true
    for (const room of other.rooms.values()) {
      if (room.membership === 'join' && session.rooms.get(room.room)?.membership === 'join') return true
    }
    return false
  }

  return {
    async of(user) {
      const known = sessions.get(user.userNid)
      if (known) return known
      const under = loading.get(user.userNid)
      if (under) return under.session
      const facts: Fact[] = []
      const session = load(user, facts)
      loading.set(user.userNid, { facts, session })
      return session.finally(() => loading.delete(user.userNid))
    },
    peek: (userNid) => sessions.peek(userNid),
    inRoom: sharers,
    wakeRoom(room) {
      for (const session of sharers(room)) wake(session)
    },
  }
}

function remember<Entry extends { position: number }>(session: Session, list: Entry[], entry: Entry): void {
  list.push(entry)
  session.last = entry.position
  if (list.length > recentMax) session.completeAfter = Math.max(session.completeAfter, list.shift()!.position)
}

function applyMembership(
  session: Session,
  room: number,
  change: { membership: Membership; eventNid: number },
  fact: Extract<Fact, { kind: 'event' }>,
): void {
  const known = session.rooms.get(room)
  if (known && known.since >= fact.position) return
  const joins = change.membership === 'join' && known?.membership !== 'join'
  session.rooms.set(room, {
    room,
    roomId: fact.roomId as RoomId,
    membership: change.membership,
    since: joins || !known || known.membership !== change.membership ? fact.position : known.since,
    eventNid: change.eventNid,
    before: known?.membership ?? 'leave',
    forgotten: known?.forgotten === true && (change.membership === 'leave' || change.membership === 'ban'),
    readPosition: joins ? fact.position : (known?.readPosition ?? fact.position),
    readNotifyIndex: joins ? fact.room.notifyCount : (known?.readNotifyIndex ?? 0),
    readHighlightIndex: joins ? fact.room.highlightCount : (known?.readHighlightIndex ?? 0),
    readAt: known?.readAt ?? 0,
  })
  session.last = fact.position
}

function readUpTo(
  room: UserRoom,
  readPosition: number,
  index: { notifyCount: number; highlightCount: number },
  at: number,
): void {
  if (room.readPosition > readPosition) return
  room.readPosition = readPosition
  room.readNotifyIndex = index.notifyCount
  room.readHighlightIndex = index.highlightCount
  room.readAt = at
}

export const joinedCode = membershipCodes.join
