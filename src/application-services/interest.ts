import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import { aliasesOfRoom, localMembersOf } from '../storage/application-services.ts'
import { upTo } from '../storage/caches.ts'
import type { EventFact } from '../storage/facts.ts'
import type { ApplicationService } from './registration.ts'

type Engine = Pick<Context, 'database' | 'domains' | 'dictionaries' | 'clock'>

/** What of everything that happens concerns an application service. */
export type Interest = {
  isOurs(userId: UserId): boolean
  inEvent(fact: EventFact): Promise<boolean>
  inRoom(room: number, roomId: RoomId): Promise<boolean>
  /** Its users in a room, by number. */
  usersIn(room: number): Promise<ReadonlySet<number>>
}

const rememberedRooms = 20_000
/** Milliseconds: aliases are not on the stream. */
const aliasesFor = 5_000

/** Whether a user belongs to a service: users of other servers never do. */
export function isUserOf(
  ctx: Pick<Context, 'domains'>,
  service: Pick<ApplicationService, 'sender' | 'users'>,
  userId: UserId,
): boolean {
  if (userId === service.sender) return true
  return ctx.domains.isLocal(serverNameOf(userId)) && service.users.includes(userId)
}

/**
 * Spec: Application Service API, "Registration" (v1.19): an event concerns a service when it is from or about one of its
 * users, or in a room that one of them is in, or whose id or one of whose aliases it claims.
 */
export function createInterest(ctx: Engine, service: ApplicationService): Interest {
  const members = new LRUCache<number, Set<number>>(upTo(rememberedRooms))
  const aliased = new LRUCache<number, { matches: boolean; readAt: number }>(upTo(rememberedRooms))
  const isOurs = (userId: UserId): boolean => isUserOf(ctx, service, userId)

  const usersIn = async (room: number): Promise<ReadonlySet<number>> => {
    const known = members.get(room)
    if (known) return known
    const rows = await ctx.database.read(localMembersOf, [room, ctx.domains.all])
    const found = new Set(rows.filter((row) => isOurs(row.user_id)).map((row) => row.user_nid))
    members.set(room, found)
    return found
  }

  /** Memory follows the memberships that are told. */
  const note = async ({ stored, memberships }: EventFact): Promise<void> => {
    const known = members.get(stored.room)
    if (!known || memberships.length === 0) return
    const ids = await ctx.dictionaries.userIds(memberships.map(({ userNid }) => userNid))
    for (const { userNid, membership } of memberships) {
      if (membership !== 'join') known.delete(userNid)
      else if (isOurs(ids.get(userNid)!)) known.add(userNid)
    }
  }

  const hasAlias = async (room: number): Promise<boolean> => {
    if (service.aliases.isEmpty) return false
    const now = ctx.clock.monotonic()
    const known = aliased.get(room)
    if (known && now - known.readAt < aliasesFor) return known.matches
    const rows = await ctx.database.read(aliasesOfRoom, [room])
    const matches = rows.some(({ alias }) => service.aliases.includes(alias))
    aliased.set(room, { matches, readAt: now })
    return matches
  }

  const inRoom = async (room: number, roomId: RoomId): Promise<boolean> =>
    service.rooms.includes(roomId) || (await usersIn(room)).size > 0 || (await hasAlias(room))

  return {
    isOurs,
    usersIn,
    inRoom,
    async inEvent(fact) {
      const { sender, type, state_key: stateKey } = fact.stored.event.pdu
      const isAbout = type === 'm.room.member' && stateKey?.startsWith('@') === true && isOurs(stateKey as UserId)
      const before = members.get(fact.stored.room)?.size ?? 0
      await note(fact)
      return isOurs(sender) || isAbout || before > 0 || (await inRoom(fact.stored.room, fact.roomId as RoomId))
    },
  }
}
