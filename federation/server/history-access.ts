import { parseRoomId, type ServerName } from '../../src/matrix/ids.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { contentField } from '../../src/storage/content-field.ts'
import { statement } from '../../src/storage/database.ts'
import { domainOf } from '../../src/storage/destinations.ts'
import type { StoredEvent } from '../../src/storage/events.ts'
import { arrayText } from '../../src/storage/operation.ts'
import type { Federation } from '../federation.ts'
import { refuseByAcl } from '../server-acl.ts'
import { eventInRoom, isInRoom, notInRoom } from './room-access.ts'

/**
 * What of a room's history a server may ask about: everything while it is in the room. Afterwards what happened while it was, up
 * to the event that ended that: a server that lacks what came before this could not judge it, and would never know that it is out.
 */
export type HistoryAccess = {
  readonly room: HotRoom
  /** Whether it is in the room. */
  readonly isIn: boolean
  /** Those of some events that it may ask about. */
  among(events: readonly StoredEvent[]): Promise<readonly StoredEvent[]>
  /**
   * One that it may ask about, with its edges.
   *
   * @throws MatrixError M_NOT_FOUND; M_FORBIDDEN for what a server that is not in the room may not ask about, known or not.
   */
  event(eventId: string): Promise<StoredEvent>
}

/** The positions among some at which a server had a member. */
const positionsInRoom = statement<{ at: string }>(
  'positions at which a server was in a room',
  `select p.at::text from unnest($3::bigint[]) as p(at) where exists (
     select from room_state s join event_kinds k using (kind) join events e on e.event_nid = s.event_nid
     where s.room = $1 and s.is_member and s.from_position <= p.at and (s.to_position is null or s.to_position >= p.at)
       and ${domainOf('k.state_key')} = $2 and ${contentField('e.content', 'membership')} = 'join')`,
)

/** @throws MatrixError M_FORBIDDEN for a room that is not known, and a server that its ACL bans. */
export async function historyForServer(
  federation: Federation,
  roomId: string,
  server: ServerName,
): Promise<HistoryAccess> {
  const { ctx } = federation
  const parsed = parseRoomId(roomId)
  const room = parsed && (await ctx.hotRooms.get(parsed))
  if (!room) throw notInRoom()
  refuseByAcl(room, server)
  const isIn = await isInRoom(ctx, room, server)
  const among = async (events: readonly StoredEvent[]): Promise<readonly StoredEvent[]> => {
    if (isIn || events.length === 0) return events
    const positions = [...new Set(events.flatMap(({ timeline }) => timeline ?? []))]
    const rows = await ctx.database.read(positionsInRoom, [room.room, server, arrayText(positions)])
    const seen = new Set(rows.map(({ at }) => Number(at)))
    return events.filter(({ timeline }) => timeline !== null && seen.has(timeline))
  }
  return {
    room,
    isIn,
    among,
    async event(eventId) {
      if (isIn) return eventInRoom(federation, room, eventId)
      const stored = await eventInRoom(federation, room, eventId).catch(() => undefined)
      const [found] = stored ? await among([stored]) : []
      if (!found) throw notInRoom()
      return found
    },
  }
}
