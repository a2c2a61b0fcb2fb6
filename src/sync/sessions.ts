import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type { AccountDataFact, DeviceListFact, EventFact, Fact, ToDeviceFact } from '../storage/facts.ts'
import { type Membership, membershipCodes, membershipOf, roomsOfUser } from '../storage/room-users.ts'

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
  /** Events that count otherwise for this user: summed up at the time of loading, and one by one since. */
  earlier: { notify: number; highlight: number }
  later: { position: number; userNid: number; notify: number; highlight: number }[]
}

/** A user who asked for something lately: rooms, and what happened since. */
export type Session = {
  readonly userId: UserId
  readonly userNid: number
  readonly rooms: Map<number, UserRoom>
  /** The position at which it was read from the database. */
  readonly loadedAt: number
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

export function createSessions(ctx: Pick<Context, 'database' | 'stream' | 'dictionaries' | 'unread'>): Sessions {
  const byRoom = new Map<number, Set<Session>>()
  const sessions = new LRUCache<number, Session>({
    max: sessionsMax,
    dispose(session) {
      for (const room of session.rooms.keys()) leaveIndex(session, room)
      for (const wake of session.waiters) wake()
    },
  })
  const loading = new Map<number, { facts: Fact[]; session: Promise<Session> }>()
  /** Positions of changes of device lists of which it is not known yet whom they concern. */
  const unresolved = new Set<number>()

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
    const [rows, exceptions] = await Promise.all([
      ctx.database.read(roomsOfUser, [user.userNid]),
      ctx.unread.load(user.userNid, position),
    ])
    let completeAfter = position
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
            earlier: exceptions.get(row.room) ?? { notify: 0, highlight: 0 },
            later: [],
          },
        ]),
      ),
      loadedAt: position,
      get completeAfter() {
        let after = completeAfter
        for (const unsure of unresolved) if (unsure > after) after = unsure
        return after
      },
      set completeAfter(after) {
        completeAfter = after
      },
      last: position,
      accountData: [],
      toDevice: [],
      deviceLists: [],
      waiters: new Set(),
    }
    for (const fact of facts) {
      applyFact(session, fact)
      if (fact.kind === 'event') applyException(session, fact)
      // Whom these concern was decided while this session was not there.
      if (fact.kind === 'deviceList' || (fact.kind === 'event' && fact.memberships.length > 0)) {
        completeAfter = fact.position
      }
    }
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
      if (room && fact.stored.timeline !== null)
        readUpTo(room, fact.position, fact.room, fact.position, session.loadedAt)
      return
    }
    if (fact.kind === 'receipt' || fact.userNid !== session.userNid) return
    if (fact.kind === 'read') {
      const room = session.rooms.get(fact.room)
      const index = { notifyCount: fact.notifyIndex, highlightCount: fact.highlightIndex }
      if (room) readUpTo(room, fact.readPosition, index, fact.position, session.loadedAt)
    } else if (fact.kind === 'accountData') remember(session, session.accountData, fact)
    else if (fact.kind === 'toDevice') remember(session, session.toDevice, fact)
  }

  const wake = (session: Session): void => {
    if (session.waiters.size === 0) return
    for (const waiter of session.waiters) waiter()
  }

  const sharers = (room: number): Iterable<Session> => byRoom.get(room) ?? []

  /** Who may see each other's devices changes with every join and leave: client-server API, "Tracking device lists". */
  const deviceListsAfter = (fact: EventFact): void => {
    for (const { userNid, membership } of fact.memberships) {
      for (const session of sharers(fact.stored.room)) {
        const left = membership !== 'join'
        if (session.userNid !== userNid) {
          remember(session, session.deviceLists, { position: fact.position, userNid, left })
        }
      }
    }
  }

  /** Remembers a change of a user's device list for the sessions that share one of the user's rooms, and the user's own. */
  const tellDeviceList = (fact: DeviceListFact, rooms: readonly { readonly room: number }[]): Set<Session> => {
    const told = new Set<Session>()
    const own = sessions.peek(fact.userNid)
    if (own) told.add(own)
    for (const { room } of rooms) for (const session of sharers(room)) told.add(session)
    for (const session of told) {
      remember(session, session.deviceLists, { position: fact.position, userNid: fact.userNid, left: false })
    }
    return told
  }

  /**
   * The same for a user who has no session here, and whose rooms have to be read first. Until then nobody relies on memory
   * for what came up to this fact.
   */
  const resolveDeviceList = async (fact: DeviceListFact): Promise<void> => {
    unresolved.add(fact.position)
    try {
      const rooms = await ctx.database.read(roomsOfUser, [fact.userNid])
      const joined = rooms.filter(({ membership }) => membership === membershipCodes.join)
      const told = tellDeviceList(fact, joined)
      unresolved.delete(fact.position)
      told.forEach(wake)
    } catch {
      // It stays unresolved: those whose token is older ask the database.
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
        for (const { userNid } of fact.exceptions ?? []) {
          const session = sessions.peek(userNid)
          if (session) applyException(session, fact)
        }
        const sender = sessions.peek(fact.stored.senderNid)
        if (sender) applyFact(sender, fact)
        if (fact.memberships.length > 0) deviceListsAfter(fact)
        for (const session of sharers(fact.stored.room)) woken.add(session)
      } else if (fact.kind === 'receipt') {
        for (const session of sharers(fact.room)) woken.add(session)
      } else if (fact.kind === 'deviceList' && fact.readerNid !== undefined) {
        const reader = sessions.peek(fact.readerNid)
        if (!reader) continue
        remember(reader, reader.deviceLists, { position: fact.position, userNid: fact.userNid, left: false })
        woken.add(reader)
      } else if (fact.kind === 'deviceList') {
        const own = sessions.peek(fact.userNid)
        if (own)
          for (const session of tellDeviceList(fact, [...own.rooms.values()].filter(isJoined))) woken.add(session)
        else void resolveDeviceList(fact)
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

function isJoined({ membership }: UserRoom): boolean {
  return membership === 'join'
}

function remember<Entry extends { position: number }>(session: Session, list: Entry[], entry: Entry): void {
  list.push(entry)
  session.last = Math.max(session.last, entry.position)
  if (list.length > recentMax) session.completeAfter = Math.max(session.completeAfter, list.shift()!.position)
}

function applyException(session: Session, fact: EventFact): void {
  const exception = fact.exceptions?.find(({ userNid }) => userNid === session.userNid)
  if (!exception || fact.position <= session.loadedAt) return
  session.rooms.get(fact.stored.room)?.later.push({ position: fact.position, ...exception })
}

function applyMembership(
  session: Session,
  room: number,
  change: { membership: Membership; eventNid: number },
  fact: EventFact,
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
    earlier: joins || !known ? { notify: 0, highlight: 0 } : known.earlier,
    later: joins || !known ? [] : known.later,
  })
  session.last = fact.position
}

function readUpTo(
  room: UserRoom,
  readPosition: number,
  index: { notifyCount: number; highlightCount: number },
  at: number,
  loadedAt: number,
): void {
  if (room.readPosition > readPosition) return
  room.readPosition = readPosition
  room.readNotifyIndex = index.notifyCount
  room.readHighlightIndex = index.highlightCount
  room.readAt = at
  room.later = room.later.filter((exception) => exception.position > readPosition)
  if (readPosition >= loadedAt) room.earlier = { notify: 0, highlight: 0 }
}

export const joinedCode = membershipCodes.join
