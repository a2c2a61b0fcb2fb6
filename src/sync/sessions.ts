import { ignoredUsers } from '../account-data/ignored-users.ts'
import type { Context } from '../context.ts'
import type { UserId } from '../matrix/ids.ts'
import { upTo } from '../storage/caches.ts'
import type { DeviceListFact, EventFact, Fact } from '../storage/facts.ts'
import { membershipCodes, roomsOfUser } from '../storage/room-users.ts'
import { sessionOfUser } from '../storage/sessions.ts'
import { applyException, applyFact, remember, roomsOf, type Session, type UserRoom } from './session.ts'

export type { Session, UserRoom } from './session.ts'

export type Sessions = {
  of(user: { userId: UserId; userNid: number }): Promise<Session>
  peek(userNid: number): Session | undefined
  /** Sessions of users who are joined to a room. */
  inRoom(room: number): Iterable<Session>
  wakeRoom(room: number): void
}

const sessionsMax = 20_000

/** `isStale`: what it reads may have changed since in a way that no fact tells. */
type Loading = { readonly facts: Fact[]; isStale: boolean; session: Promise<Session> }

export function createSessions(ctx: Pick<Context, 'database' | 'caches' | 'stream' | 'invalidations'>): Sessions {
  const byRoom = new Map<number, Set<Session>>()
  const sessions = ctx.caches.lru<number, Session>('sessions', {
    ...upTo(sessionsMax),
    dispose(session) {
      for (const room of session.rooms.keys()) leaveIndex(session, room)
      for (const wake of session.waiters) wake()
    },
  })
  const loading = new Map<number, Loading>()
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

  const load = async (user: { userId: UserId; userNid: number }, under: Omit<Loading, 'session'>): Promise<Session> => {
    const position = ctx.stream.position
    const rows = await ctx.database.read(sessionOfUser, [user.userNid, position])
    const ignored = rows.find((row) => row.room === null)
    let completeAfter = position
    const session: Session = {
      ...user,
      rooms: roomsOf(rows),
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
      isStale: under.isStale,
      ignored: ignoredUsers(ignored?.ignored ?? undefined, user.userId),
      wantsProfiles: false,
      threadsAt: position,
      accountData: [],
      toDevice: [],
      delivered: new Map(),
      deviceLists: [],
      waiters: new Set(),
    }
    for (const fact of under.facts) {
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

  const wake = (session: Session): void => {
    if (session.waiters.size === 0) return
    for (const waiter of session.waiters) waiter()
  }

  const sharers = (room: number): Iterable<Session> => byRoom.get(room) ?? []

  /** Who may see each other's devices changes with every join and leave: client-server API, "Tracking device lists". */
  const deviceListsAfter = (fact: EventFact): void => {
    const wasJoined = fact.replaced?.event.pdu.content.membership === 'join'
    for (const { userNid, membership } of fact.memberships) {
      // Invites, and names that change, let nobody into a room or out of it. Where the event is not the change itself,
      // a resolution brought it about and what was before is not known.
      const isEvent = fact.stored.event.pdu.type === 'm.room.member' && fact.memberships.length === 1
      if (isEvent && wasJoined === (membership === 'join')) continue
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
        for (const session of sharers(fact.stored.room)) {
          // Read from the database, which does not say it for everybody.
          if (fact.exceptions === undefined) session.isStale = true
          woken.add(session)
        }
      } else if (fact.kind === 'roomCompleted') {
        for (const session of sharers(fact.room)) {
          applyFact(session, fact)
          woken.add(session)
        }
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
      } else if (fact.kind === 'profile') {
        for (const session of sessions.values()) if (session.wantsProfiles) woken.add(session)
      } else if (fact.kind !== 'outgoingToDevice') {
        const session = sessions.peek(fact.userNid)
        if (!session) continue
        applyFact(session, fact)
        if (fact.kind === 'remoteMembership') leaveIndex(session, fact.room)
        woken.add(session)
      }
    }
    // After the position has moved on, or they would find nothing.
    if (woken.size > 0) queueMicrotask(() => woken.forEach(wake))
  })

  // What a session holds beside what the stream tells. It is read again when it is next asked for; who waits, waits on.
  ctx.invalidations.subscribe('user-rooms', (key) => {
    const concerned = key === undefined ? undefined : Number(key)
    const held = concerned === undefined ? sessions.values() : [sessions.peek(concerned)]
    for (const session of held) if (session) session.isStale = true
    for (const [userNid, under] of loading) if (userNid === (concerned ?? userNid)) under.isStale = true
  })

  return {
    async of(user) {
      const known = sessions.get(user.userNid)
      if (known && !known.isStale) return known
      const under = loading.get(user.userNid)
      if (under) return under.session
      const begun: Omit<Loading, 'session'> = { facts: [], isStale: false }
      const session = load(user, begun)
      loading.set(user.userNid, Object.assign(begun, { session }))
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
