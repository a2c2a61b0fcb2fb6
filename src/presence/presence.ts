import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { Fact } from '../storage/facts.ts'
import { deletePresenceStatus, presenceOfUser, savePresenceStatus } from '../storage/presence.ts'
import { isSame, newPerson, type Person, type PresenceState, shownOf } from './person.ts'
import { createPresenceRooms } from './presence-rooms.ts'
import { createPresenceTalk, type Told } from './presence-talk.ts'

type User = { readonly userId: UserId; readonly userNid: number }

/** Whose presence other servers are told of; `server`: that one alone, because it has just come into a room. */
export type PresenceNews = { readonly people: readonly Person[]; readonly server?: ServerName }

/**
 * Who is there. In memory alone, but for what users say about themselves: the processes of a deployment tell one another
 * through Redis what the devices that are connected to them do, and a claim that is not repeated runs out.
 *
 * Spec: Client-Server API, "Presence" (v1.19).
 */
export type Presence = {
  of(userNid: number): Person | undefined
  /** A user sets the own presence; `statusMsg` undefined: leaves what was said as it is, null: takes it away. */
  set(user: User, deviceId: string, state: PresenceState, statusMsg: string | null | undefined): Promise<void>
  /** A device waits for news as long as the work takes, which begins once it is known where the user is seen. */
  whileSyncing<T>(user: User, deviceId: string, state: PresenceState, work: () => Promise<T>): Promise<T>
  /** A user does something. */
  active(user: User): void
  /** What another server says of its users. */
  receive(said: ReadonlyMap<UserId, RemotePresence>): Promise<void>
  /** Who changed after a counter and is seen in one of the rooms; with no counter, whoever is known and not offline. */
  changed(rooms: Iterable<{ readonly room: number; readonly after: number | undefined }>): Set<Person>
  /** Calls back with people of this deployment whose change came about in this process. */
  follow(follower: (news: PresenceNews) => void): void
  close(): void
}

export type RemotePresence = {
  readonly state: PresenceState
  readonly lastActiveAgo: number | undefined
  readonly isActive: boolean
  readonly statusMsg: string | undefined
}

/** Milliseconds after the end of the last sync. */
const offlineAfter = 30_000
/** Milliseconds for which another server is believed. */
const remoteFor = 1_800_000
const sweepEvery = 1_000
/** Milliseconds in which changes gather before anybody is woken. */
const gatherFor = 100
/** Milliseconds for which a claim that is repeated need not be told to other processes again. */
const repeatAfter = 10_000
/** Milliseconds for which the claims of other processes are believed after their end. */
const graceForOthers = repeatAfter + 2_000
const peopleMax = 100_000
const earlyMax = 1_000
/** Milliseconds: as long as a join may take. */
const earlyFor = 120_000

type Engine = Pick<
  Context,
  'clock' | 'config' | 'processId' | 'database' | 'stream' | 'domains' | 'dictionaries' | 'log'
>

/**
 * @param nextCounter Raises the counter that sync tokens carry.
 * @param onChange Told which rooms somebody is in whose presence changed, and who.
 */
export function createPresence(
  ctx: Engine,
  redis: { readonly publisher: Redis; readonly subscriber: Redis } | undefined,
  nextCounter: () => number,
  onChange: (rooms: ReadonlySet<number>, people: ReadonlySet<Person>) => void,
): Presence {
  const people = new Map<number, Person>()
  const rooms = createPresenceRooms()
  /** Devices that wait for news here: how many requests, and as what. */
  const waiting = new Map<string, { user: User; deviceId: string; state: PresenceState; requests: number }>()
  /** What was said of users that nobody here has met, lately. */
  const early = new LRUCache<UserId, RemotePresence>({ max: earlyMax, ttl: earlyFor })
  /** What has been taken in, of that which was also early. */
  const taken = new WeakSet<RemotePresence>()
  const followers: Parameters<Presence['follow']>[0][] = []
  const gathered = { rooms: new Set<number>(), people: new Set<Person>(), ours: new Set<Person>() }
  let gathering: NodeJS.Timeout | undefined
  let closed = false

  const isLocal = ({ userId }: User): boolean => ctx.domains.isLocal(serverNameOf(userId))

  const personOf = ({ userId, userNid }: User): Person => {
    let person = people.get(userNid)
    if (!person) {
      people.set(userNid, (person = newPerson(userId, userNid)))
      if (people.size > peopleMax) forgetSome()
    }
    return person
  }

  const forgetSome = (): void => {
    for (const [nid, person] of people) {
      if (people.size <= peopleMax * 0.9) return
      if (person.claims.size > 0 || person.reading) continue
      people.delete(nid)
      for (const room of person.rooms ?? []) rooms.remove(room, person)
    }
  }

  const flush = (): void => {
    gathering = undefined
    const { rooms: inRooms, people: changed, ours } = gathered
    gathered.rooms = new Set()
    gathered.people = new Set()
    gathered.ours = new Set()
    onChange(inRooms, changed)
    if (ours.size > 0) for (const follower of followers) follower({ people: [...ours] })
  }

  const announce = (person: Person, isOurs: boolean): void => {
    if (person.rooms === undefined) return
    person.counter = nextCounter()
    for (const room of person.rooms) {
      rooms.note(room, person)
      gathered.rooms.add(room)
    }
    gathered.people.add(person)
    if (isOurs && isLocal(person)) gathered.ours.add(person)
    gathering ??= setTimeout(flush, gatherFor).unref()
  }

  /** Reads once where a person is seen; from then on the stream tells. */
  const place = async (person: Person, isOurs: boolean): Promise<void> => {
    const done = Promise.withResolvers<void>()
    const reading = { again: false, done: done.promise }
    person.reading = reading
    try {
      for (;;) {
        reading.again = false
        const [row] = await ctx.database.read(presenceOfUser, [person.userNid])
        if (reading.again) continue
        person.rooms = new Set(row!.rooms)
        if (isLocal(person)) person.statusMsg ??= row!.status_msg ?? undefined
        break
      }
      for (const room of person.rooms) rooms.add(room, person)
      person.shown = shownOf(person, ctx.clock.now())
      announce(person, isOurs)
    } catch (error) {
      ctx.log.warn({ err: error }, 'The rooms of a user could not be read')
    } finally {
      person.reading = undefined
      done.resolve()
    }
  }

  /** Tells whoever is concerned if anything that is seen has changed. */
  const settle = (person: Person, isOurs: boolean): void => {
    const now = ctx.clock.now()
    const shown = shownOf(person, now)
    if (isSame(shown, person.shown)) return
    person.shown = shown
    if (person.rooms) announce(person, isOurs)
    else if (!person.reading && !closed) void place(person, isOurs)
  }

  const apply = (told: Told, isOurs: boolean): void => {
    const person = personOf(told)
    const { key, state, until, lastActive, statusMsg } = told
    if (state === 'offline') person.claims.delete(key)
    else person.claims.set(key, { state, until, isOurs, toldAt: ctx.clock.now() })
    person.lastActive = Math.max(person.lastActive, lastActive)
    if (statusMsg !== undefined) person.statusMsg = statusMsg ?? undefined
    settle(person, isOurs)
  }

  const talk = createPresenceTalk(ctx, redis, (told) => apply(told, false))

  /** Makes a claim, or makes it last; the other processes are told of what is new, and again from time to time. */
  const say = (
    user: User,
    deviceId: string,
    state: PresenceState,
    more: { isActivity: boolean; statusMsg?: string | null },
  ): void => {
    const now = ctx.clock.now()
    const key = `${ctx.processId} ${deviceId}`
    const person = people.get(user.userNid)
    const before = person?.claims.get(key)
    const until = now + offlineAfter
    if (before?.state === state && !more.isActivity && more.statusMsg === undefined) {
      before.until = until
      if (now - before.toldAt < repeatAfter) return
      before.toldAt = now
    }
    const { statusMsg } = more
    const lastActive = more.isActivity ? now : (person?.lastActive ?? 0)
    const told = { ...user, key, state, until, lastActive, ...(statusMsg !== undefined && { statusMsg }) }
    apply(told, true)
    talk.tell(told)
  }

  /** @returns whether this process is the one to tell of the end of a claim. */
  const endClaims = (person: Person, now: number): boolean => {
    let isOurs = false
    for (const [key, { until, isOurs: isMine }] of person.claims) {
      // The process that made a claim ends it itself, unless it is gone.
      if (until + (isMine ? 0 : graceForOthers) > now) continue
      person.claims.delete(key)
      isOurs = true
      const { userId, userNid, lastActive } = person
      if (isMine) talk.tell({ userId, userNid, key, state: 'offline', until, lastActive })
    }
    return isOurs || [...person.claims.values()].some((one) => one.isOurs)
  }

  const sweep = setInterval(() => {
    const now = ctx.clock.now()
    for (const { user, deviceId, state } of waiting.values()) {
      if (state !== 'offline') say(user, deviceId, state, { isActivity: false })
    }
    for (const person of people.values()) if (person.claims.size > 0) settle(person, endClaims(person, now))
  }, sweepEvery)
  sweep.unref()

  const receive = async (said: ReadonlyMap<UserId, RemotePresence>): Promise<void> => {
    // Before it is known whether they are known: they may come to be while that is looked up.
    for (const [userId, told] of said) early.set(userId, told)
    const known = await ctx.dictionaries.findUsers([...said.keys()])
    const now = ctx.clock.now()
    for (const [userId, presence] of said) {
      const userNid = known.get(userId)
      if (userNid === undefined || taken.has(presence)) continue
      taken.add(presence)
      if (early.peek(userId) === presence) early.delete(userId)
      const { state, lastActiveAgo, isActive, statusMsg } = presence
      const lastActive = isActive ? now : now - Math.max(0, lastActiveAgo ?? 0)
      const until = now + remoteFor
      const told = { userId, userNid, key: '', state, until, lastActive, statusMsg: statusMsg ?? null }
      apply(told, true)
      talk.tell(told)
    }
  }

  /** Takes in what came of users of a room that one of ours was just joining. */
  const receiveEarly = (): void => {
    receive(new Map(early.entries())).catch((error: unknown) =>
      ctx.log.warn({ err: error }, 'Presence could not be taken in'),
    )
  }

  const follow = (fact: Fact): void => {
    if (fact.kind !== 'event') return
    if (early.size > 0 && fact.memberships.length > 0) receiveEarly()
    const { room } = fact.stored
    for (const { userNid, membership } of fact.memberships) {
      const person = people.get(userNid)
      if (person?.reading) person.reading.again = true
      if (person?.rooms) {
        const isIn = person.rooms.has(room)
        if (membership === 'join' && !isIn) {
          person.rooms.add(room)
          rooms.add(room, person)
          announce(person, true)
        } else if (membership !== 'join' && isIn) {
          person.rooms.delete(room)
          rooms.remove(room, person)
        }
      }
    }
    greet(fact)
  }

  /** A server that has just come into a room learns who of us is there. */
  const greet = ({ stored, memberships, replaced }: Extract<Fact, { kind: 'event' }>): void => {
    const { type, state_key: stateKey, content } = stored.event.pdu
    const isJoin = type === 'm.room.member' && content.membership === 'join' && memberships.length > 0
    if (!isJoin || replaced?.event.pdu.content.membership === 'join' || !stateKey?.startsWith('@')) return
    const server = serverNameOf(stateKey as UserId)
    if (ctx.domains.isLocal(server)) return
    const present = [...rooms.in(stored.room)].filter((one) => isLocal(one) && one.shown.state !== 'offline')
    if (present.length > 0) for (const follower of followers) follower({ people: present, server })
  }

  ctx.stream.follow((facts) => facts.forEach(follow))

  return {
    of: (userNid) => people.get(userNid),
    async set(user, deviceId, state, statusMsg) {
      if (statusMsg !== undefined) {
        const isGone = statusMsg === null || statusMsg === ''
        await ctx.database.read(
          isGone ? deletePresenceStatus : savePresenceStatus,
          isGone ? [user.userNid] : [user.userNid, statusMsg],
        )
      }
      const waits = waiting.get(`${user.userNid} ${deviceId}`)
      if (waits) waits.state = state
      say(user, deviceId, state, {
        isActivity: state === 'online',
        ...(statusMsg !== undefined && { statusMsg: statusMsg === '' ? null : statusMsg }),
      })
    },
    async whileSyncing(user, deviceId, state, work) {
      if (state === 'offline') return work()
      const key = `${user.userNid} ${deviceId}`
      const waits = waiting.get(key) ?? { user, deviceId, state, requests: 0 }
      waits.requests++
      waits.state = state
      waiting.set(key, waits)
      const known = people.get(user.userNid)?.shown.state
      // Who comes back does something; who merely waits on does not.
      say(user, deviceId, state, { isActivity: state === 'online' && (known === undefined || known === 'offline') })
      try {
        // The user's own coming is part of this answer: told later it would end the next wait at once.
        await people.get(user.userNid)?.reading?.done
        return await work()
      } finally {
        waits.requests--
        if (waits.requests === 0) waiting.delete(key)
      }
    },
    active(user) {
      const person = people.get(user.userNid)
      const now = ctx.clock.now()
      // Nobody would see a difference.
      if (!person || now - person.lastActive < repeatAfter) return
      for (const [key, { state, isOurs }] of person.claims) {
        if (isOurs) say(user, key.slice(ctx.processId.length + 1), state, { isActivity: true })
      }
    },
    receive,
    changed(where) {
      const found = new Set<Person>()
      for (const { room, after } of where) {
        for (const person of rooms.changedIn(room, after)) {
          if (after !== undefined || person.shown.state !== 'offline') found.add(person)
        }
      }
      return found
    },
    follow: (follower) => void followers.push(follower),
    close() {
      closed = true
      clearInterval(sweep)
      clearTimeout(gathering)
    },
  }
}
