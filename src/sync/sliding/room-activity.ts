import { LRUCache } from 'lru-cache'
import type { Context } from '../../context.ts'
import { upTo } from '../../storage/caches.ts'
import { lastEvents } from '../../storage/sliding-sync.ts'

/** When something last happened in rooms, for their order in lists. One for all users, following the stream. */
export type RoomActivity = {
  /** Makes the rooms known: one statement for those that are not. */
  load(rooms: readonly number[]): Promise<void>
  /** The position of the last event of a room that was loaded. */
  of(room: number): number
  /** The rooms in which something happened after a position; undefined where memory does not go back so far. */
  since(position: number): ReadonlySet<number> | undefined
}

const mostRooms = 500_000
const recentMax = 20_000

export function createRoomActivity(ctx: Pick<Context, 'database' | 'stream'>): RoomActivity {
  const last = new LRUCache<number, number>(upTo(mostRooms))
  let recent: { position: number; room: number }[] = []
  let completeAfter = ctx.stream.position

  const rise = (room: number, position: number): void => {
    if ((last.get(room) ?? -1) < position) last.set(room, position)
  }
  ctx.stream.follow((facts) => {
    for (const fact of facts) {
      if (fact.kind === 'remoteMembership') recent.push({ position: fact.position, room: fact.room })
      if (fact.kind !== 'event') continue
      recent.push({ position: fact.position, room: fact.stored.room })
      if (fact.stored.timeline !== null) rise(fact.stored.room, fact.position)
    }
    if (recent.length > 2 * recentMax) {
      completeAfter = recent.at(-recentMax - 1)!.position
      recent = recent.slice(-recentMax)
    }
  })

  return {
    async load(rooms) {
      const missing = rooms.filter((room) => !last.has(room))
      if (missing.length === 0) return
      const [found] = await ctx.database.read(lastEvents, [missing])
      found!.rooms.forEach((room, index) => {
        rise(room, found!.positions[index]!)
      })
    },
    of: (room) => last.get(room) ?? 0,
    since(position) {
      if (position < completeAfter) return undefined
      const rooms = new Set<number>()
      for (let index = recent.length - 1; index >= 0 && recent[index]!.position > position; index--) {
        rooms.add(recent[index]!.room)
      }
      return rooms
    },
  }
}
