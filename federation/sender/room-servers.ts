import type { Context } from '../../src/context.ts'
import { type ServerName, serverNameOf } from '../../src/matrix/ids.ts'
import { upTo } from '../../src/storage/caches.ts'
import { serversOfRoom } from '../../src/storage/destinations.ts'
import type { EventFact } from '../../src/storage/facts.ts'

/** Which other servers are in which rooms: read once for each room, and followed from there. */
export type RoomServers = {
  of(room: number): Promise<ReadonlySet<ServerName>>
  /** Whether it is in memory that no other server is in a room. */
  hasNone(room: number): boolean
  /** Whether a server was in a room before the event that is to be told next, as far as is known. */
  had(room: number, server: ServerName): boolean
  /** To be told of every event, in the order of the stream. */
  follow(fact: EventFact): Promise<void>
}

const roomsMax = 10_000

export function createRoomServers(ctx: Pick<Context, 'database' | 'caches' | 'dictionaries' | 'domains'>): RoomServers {
  const known = ctx.caches.lru<number, Set<ServerName>>('servers in rooms', upTo(roomsMax))
  return {
    async of(room) {
      const before = known.get(room)
      if (before) return before
      const rows = await ctx.database.read(serversOfRoom, [room])
      const servers = new Set(rows.map(({ server }) => server).filter((server) => !ctx.domains.isLocal(server)))
      known.set(room, servers)
      return servers
    },
    hasNone: (room) => known.get(room)?.size === 0,
    had: (room, server) => known.peek(room)?.has(server) === true,
    async follow({ stored, memberships }) {
      const servers = known.peek(stored.room)
      if (!servers || memberships.length === 0) return
      const userIds = await ctx.dictionaries.userIds(memberships.map(({ userNid }) => userNid))
      for (const { userNid, membership } of memberships) {
        const server = serverNameOf(userIds.get(userNid)!)
        if (ctx.domains.isLocal(server)) continue
        if (membership === 'join') servers.add(server)
        // Whether that was the last member of the server is known to the database.
        else if (servers.has(server)) known.delete(stored.room)
      }
    },
  }
}
