import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { RoomId } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'

/** Rooms that the operators have closed to their users, remembered by every process. */
export type BlockedRooms = {
  /** @throws MatrixError M_FORBIDDEN for a room that is blocked. */
  refuse(roomId: RoomId): void
  has(roomId: RoomId): boolean
  /** Tells every process that a room was blocked or is no longer. Resolves when this one goes by it. */
  changed(roomId: RoomId): Promise<void>
}

const all = statement<{ room_id: RoomId }>('blocked rooms', 'select room_id from blocked_rooms')
const one = statement<{ room_id: RoomId }>('blocked room', 'select room_id from blocked_rooms where room_id = $1')

export async function createBlockedRooms(
  ctx: Pick<Context, 'database' | 'invalidations' | 'log'>,
): Promise<BlockedRooms> {
  const rooms = new Set<RoomId>()
  const loadAll = async (): Promise<void> => {
    const rows = await ctx.database.read(all, [])
    rooms.clear()
    for (const row of rows) rooms.add(row.room_id)
  }
  const look = async (roomId: RoomId): Promise<void> => {
    const [row] = await ctx.database.read(one, [roomId])
    if (row) rooms.add(roomId)
    else rooms.delete(roomId)
  }
  // One after the other: of two looks at once the earlier might be answered last.
  let looked = loadAll()
  await looked
  ctx.invalidations.subscribe('blocked-rooms', (roomId) => {
    looked = looked
      .then(() => (roomId === undefined ? loadAll() : look(roomId as RoomId)))
      .catch((error: Error) => ctx.log.error({ error: error.message }, 'Which rooms are blocked is not known'))
  })
  return {
    has: (roomId) => rooms.has(roomId),
    changed(roomId) {
      ctx.invalidations.publish('blocked-rooms', roomId)
      return looked
    },
    refuse(roomId) {
      if (rooms.has(roomId)) throw new MatrixError('M_FORBIDDEN', 'This room has been blocked on this server')
    },
  }
}
