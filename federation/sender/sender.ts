import { type ServerName, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import { presenceContent } from '../../src/presence/person.ts'
import type { PresenceNews } from '../../src/presence/presence.ts'
import { domainIn } from '../../src/rooms/remote-memberships.ts'
import {
  allDestinations,
  newDestination,
  passDestinations,
  senderName,
  serversSharingRooms,
  standForNewcomer,
} from '../../src/storage/destinations.ts'
import type { DeviceListFact, EventFact, Fact, ReceiptFact } from '../../src/storage/facts.ts'
import { openFollower, saveFollower } from '../../src/storage/stream-followers.ts'
import type { Federation } from '../federation.ts'
import { Destination, type Followed, type PendingEvent } from './destination.ts'
import type { PassingNews } from './passing.ts'
import { createRoomServers } from './room-servers.ts'
import { watchDestinations } from './watch-destinations.ts'

/** Tells other servers what happened here. */
export type Sender = {
  /** A server has shown that it is there. */
  heardOf(server: ServerName): void
  /** Resolves once what was under way has ended. */
  close(): Promise<void>
}

/** Of the whole deployment: up to where every server that there was something for has been written down. */
const followerName = 'federation'
/** Positions that are followed at once of what was missed; many of them may be kept free by gaps. */
const mostAtOnce = 20_000
/** Milliseconds between two notes of how far servers are that there was nothing for. */
const passEvery = 60_000

type News =
  | ({ readonly kind: 'event' } & PendingEvent)
  | { readonly kind: 'list'; readonly position: number }
  | { readonly kind: 'messages'; readonly position: number }
  | { readonly kind: 'passing'; readonly position: number; readonly passing: PassingNews }

type Wake = readonly [origin: ServerName, server: ServerName, news: News]

/**
 * Follows the stream. Nothing is written when an event is sent: what a server lacks is what came after the position it
 * acknowledged. Each domain of ours tells what its own users did. Of several processes the one sends that comes first; what
 * only passes, receipts and typing, is told by the process that it happened in.
 *
 * Spec: Server-Server API, "Transactions" (v1.19).
 */
export function createSender(federation: Federation): Sender {
  const { ctx, allowList } = federation
  const destinations = new Map<string, Destination>()
  const roomServers = createRoomServers(ctx)
  const stop = new AbortController()
  const started = ctx.stream.position
  const followed: Followed = { position: started }
  watchDestinations(ctx, destinations)

  const wake = (origin: ServerName, server: ServerName, news: News): void => {
    if (ctx.domains.isLocal(server) || !allowList.allows(server, 'sending')) return
    const key = `${origin} ${server}`
    let to = destinations.get(key)
    if (!to) {
      const row = newDestination(origin, server, news.position - 1)
      destinations.set(key, (to = new Destination(row, true, followed)))
    }
    if (news.kind === 'passing') {
      // What waits for a server to come back is not worth to be told then.
      if (to.failures === 0) to.passing.add(news.passing)
    } else if (news.kind === 'messages') to.mayHaveMessages = true
    else if (news.kind === 'list') to.addList(news.position)
    else to.addEvent(news)
    to.start(federation, stop.signal)
  }

  /** The most frequent event: one that nobody elsewhere is to be told of, and by which nobody comes or goes. */
  const isAtHome = ({ stored, memberships }: EventFact): boolean =>
    memberships.length === 0 && stored.event.pdu.type !== 'm.room.member' && roomServers.hasNone(stored.room)

  const followEvent = async (fact: EventFact): Promise<Wake[]> => {
    const { pdu, eventId } = fact.stored.event
    const sender = serverNameOf(pdu.sender)
    const stuck = roomServers.had(fact.stored.room, sender) ? [] : await stickyFor(fact, sender)
    const earlier = await standForNewcomers(fact)
    await roomServers.follow(fact)
    const origin = ctx.domains.isLocal(sender) ? sender : federation.relayed.get(eventId)
    if (origin === undefined || federation.passedOn.has(eventId)) return [...earlier, ...stuck]
    const servers = new Set(await roomServers.of(fact.stored.room))
    const isMembership = pdu.type === 'm.room.member' && pdu.state_key?.startsWith('@') === true
    if (isMembership && pdu.content.membership !== 'invite') servers.add(serverNameOf(pdu.state_key as UserId))
    servers.delete(sender)
    const news = { kind: 'event', position: fact.position, nid: fact.stored.nid } as const
    return [...earlier, ...stuck, ...[...servers].map((server): Wake => [origin, server, news])]
  }

  /**
   * A server that came into a room by another one may not know what was here by then, and neither side would ever tell: it
   * is told how the room stands, and asks for what is missing in between.
   */
  const standForNewcomers = async ({ stored, position, memberships, room: after }: EventFact): Promise<Wake[]> => {
    const joins = memberships.filter(({ membership }) => membership === 'join')
    if (joins.length === 0 || after.extremities.every((nid) => nid === stored.nid)) return []
    const room = await ctx.hotRooms.getByNid(stored.room)
    if (!room) return []
    const users = await ctx.dictionaries.userIds(joins.map(({ userNid }) => userNid))
    const servers = new Set([...users.values()].map((userId) => serverNameOf(userId)))
    const origin = await domainIn(ctx, room)
    const wakes: Wake[] = []
    for (const server of servers) {
      if (ctx.domains.isLocal(server) || roomServers.had(stored.room, server)) continue
      const span = [position - 1, position, server, origin]
      for (const { event_nid: nid } of await ctx.database.read(standForNewcomer, [...span, stored.room])) {
        wakes.push([origin, server, { kind: 'event', position, nid, isEarlier: true }])
      }
    }
    return wakes
  }

  /** Spec: MSC4354: a server that comes into a room is sent the sticky events of our users there. */
  const stickyFor = async ({ stored, position }: EventFact, server: ServerName): Promise<Wake[]> => {
    const { type, content } = stored.event.pdu
    const isJoin = type === 'm.room.member' && content.membership === 'join' && !ctx.domains.isLocal(server)
    const lasting = isJoin ? (ctx.stickyEvents?.in(stored.room, 0, position - 1) ?? []) : []
    const events = await ctx.events.byNids(lasting.map(({ nid }) => nid))
    return events.flatMap(({ nid, event }): Wake[] => {
      const origin = serverNameOf(event.pdu.sender)
      return ctx.domains.isLocal(origin) ? [[origin, server, { kind: 'event', position, nid }]] : []
    })
  }

  const followReceipt = async (fact: ReceiptFact): Promise<Wake[]> => {
    const userId = (await ctx.dictionaries.userIds([fact.userNid])).get(fact.userNid)!
    const origin = serverNameOf(userId)
    const room = await ctx.hotRooms.getByNid(fact.room)
    if (!room || !ctx.domains.isLocal(origin)) return []
    const receipt = { eventId: fact.eventId, ts: fact.ts, threadId: fact.threadId }
    const passing = { type: 'm.receipt', room: room.roomId, user: userId, receipt } as const
    const news = { kind: 'passing', position: fact.position, passing } as const
    return [...(await roomServers.of(fact.room))].map((server) => [origin, server, news])
  }

  const followDeviceList = async (fact: DeviceListFact): Promise<Wake[]> => {
    const origin = serverNameOf((await ctx.dictionaries.userIds([fact.userNid])).get(fact.userNid)!)
    if (!ctx.domains.isLocal(origin)) return []
    const servers = await ctx.database.read(serversSharingRooms, [fact.userNid])
    return servers.map(({ server }) => [origin, server, { kind: 'list', position: fact.position }])
  }

  const concerned = (fact: Fact, isOurs: boolean): Wake[] | Promise<Wake[]> => {
    if (fact.kind === 'event') return isAtHome(fact) ? [] : followEvent(fact)
    if (fact.kind === 'receipt') return isOurs && fact.receiptType === 'm.read' ? followReceipt(fact) : []
    if (fact.kind === 'deviceList') return fact.readerNid === undefined ? followDeviceList(fact) : []
    if (fact.kind !== 'outgoingToDevice') return []
    const { position, origin, server } = fact
    return [[origin as ServerName, server as ServerName, { kind: 'messages', position }]]
  }

  const follow = (fact: Fact, isOurs: boolean): Promise<void> | undefined => {
    const wakes = concerned(fact, isOurs)
    if (wakes instanceof Promise) return wakes.then((found) => tell(fact, found))
    tell(fact, wakes)
    return undefined
  }

  /** In one go: who is told that this position has been followed has been given what concerns it. */
  const tell = (fact: Fact, wakes: readonly Wake[]): void => {
    followed.position = fact.position
    for (const news of wakes) wake(...news)
  }

  const tellTyping = async (nid: number, userId: UserId, typing: boolean): Promise<void> => {
    const room = await ctx.hotRooms.getByNid(nid)
    if (!room) return
    const passing = { type: 'm.typing', room: room.roomId, user: userId, typing } as const
    for (const server of await roomServers.of(nid)) {
      wake(serverNameOf(userId), server, { kind: 'passing', position: ctx.stream.position, passing })
    }
  }

  const tellPresence = async ({ people, server }: PresenceNews): Promise<void> => {
    const now = ctx.clock.now()
    for (const person of people) {
      const user = person.userId
      const servers =
        server === undefined ? await ctx.database.read(serversSharingRooms, [person.userNid]) : [{ server }]
      const presence = { last_active_ago: 0, ...presenceContent(person, now) }
      const passing = { type: 'm.presence', user, presence } as const
      for (const { server: to } of servers) {
        wake(serverNameOf(user), to, { kind: 'passing', position: ctx.stream.position, passing })
      }
    }
  }

  let isLoaded = false
  // What a process that was killed was sending is another's at once; until it is known that this one runs, it sends nothing.
  const isKnown = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve())
    ctx.ownership.claim(senderName(ctx.processId), () => resolve())
  })
  const load = async (): Promise<void> => {
    await isKnown
    const [row] = await ctx.database.read(openFollower, [followerName])
    const rows = await ctx.database.read(allDestinations, [])
    for (const row of rows) {
      if (!ctx.domains.isLocal(row.origin) || !allowList.allows(row.server_name, 'sending')) continue
      const to = new Destination(row, false, followed)
      destinations.set(`${row.origin} ${row.server_name}`, to)
      to.start(federation, stop.signal)
    }
    isLoaded = true
    // A process that was killed may not have come to write down that there is something for a server that is new.
    for (let from = row!.position, to = started; from < to; ) {
      const upTo = Math.min(from + mostAtOnce, to)
      for (const fact of await ctx.readFacts(from, upTo)) await follow(fact, false)
      from = upTo
    }
    followed.position = Math.max(followed.position, started)
  }
  // Facts are taken one after the other, so that a later one never overtakes.
  let following: Promise<void> = load()
  const warn = (error: unknown): void => ctx.log.warn({ err: error }, 'Other servers are not told yet')
  const later = (work: () => Promise<void>): void => {
    following = following.then(work).catch(warn)
  }
  const followSafely = async (facts: readonly Fact[], isOurs: boolean): Promise<void> => {
    for (const fact of facts) {
      try {
        const following = follow(fact, isOurs)
        if (following) await following
      } catch (error) {
        // Whom it concerns is not known, so everybody has to look.
        for (const to of destinations.values()) to.lookAgain()
        warn(error)
      }
    }
  }
  ctx.stream.follow((facts, { isOurs }) => {
    if (!stop.signal.aborted) later(() => followSafely(facts, isOurs))
  })
  ctx.typing.follow((room, userId, typing) => {
    if (!stop.signal.aborted && ctx.domains.isLocal(serverNameOf(userId))) later(() => tellTyping(room, userId, typing))
  })

  ctx.presence?.follow((news) => {
    if (!stop.signal.aborted) later(() => tellPresence(news))
  })

  const to = (server: string): Destination[] => [...destinations.values()].filter((one) => one.server === server)
  const startNow = (server: string): void => {
    for (const one of to(server)) one.startNow(federation, stop.signal)
  }
  ctx.invalidations.subscribe('destinations', (server) => {
    if (server === undefined) return
    if (isLoaded) startNow(server)
    // Who comes before it is known what there is to tell is not to be kept waiting either.
    else later(async () => startNow(server))
  })
  // The other processes may wait for it too, and have to go on where this one ends.
  const heardOf = (server: string): void => {
    if (!isLoaded || to(server).some(({ isPutOff }) => isPutOff)) ctx.invalidations.publish('destinations', server)
  }

  /** A server that there was nothing for must not be looked through all of it after a restart. */
  const pass = async (): Promise<void> => {
    if (!isLoaded) return
    const unwritten = [...destinations.values()].filter(({ isWritten }) => !isWritten)
    const written = Math.min(followed.position, ...unwritten.map(({ acked }) => acked))
    await ctx.database.read(saveFollower, [followerName, written])
    const idle = [...destinations.values()].filter((to) => !to.hasWork && !to.running && to.acked < followed.position)
    if (idle.length === 0) return
    const { position } = followed
    const [origins, servers] = [idle.map(({ origin }) => origin), idle.map(({ server }) => server)]
    for (const to of idle) to.advance(position)
    await ctx.database.read(passDestinations, [origins, servers, position])
  }
  const passing = setInterval(() => later(pass), passEvery)
  passing.unref()

  return {
    heardOf,
    async close() {
      stop.abort()
      clearInterval(passing)
      await following
      for (const { timer } of destinations.values()) clearTimeout(timer)
      await Promise.all([...destinations.values()].map(({ running }) => running))
      await pass().catch(() => {})
    },
  }
}
