import { type ServerName, serverNameOf } from '../../src/matrix/ids.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { serversOfRoom } from '../../src/storage/destinations.ts'
import type { Federation } from '../federation.ts'

/** The servers in a room that may be asked about it: one that is likely to know first, then the creator's, then the others. */
export async function serversToAsk(
  { ctx, allowList }: Federation,
  room: HotRoom,
  likely?: ServerName,
): Promise<ServerName[]> {
  const rows = await ctx.database.read(serversOfRoom, [room.room])
  const creator = room.get('m.room.create', '')?.pdu.sender
  const inRoom = new Set(rows.map(({ server }) => server))
  const first = [likely, creator && serverNameOf(creator)].filter(
    (server) => server !== undefined && inRoom.has(server),
  )
  const servers = new Set([...(first as ServerName[]), ...inRoom])
  return [...servers].filter((server) => !ctx.domains.isLocal(server) && allowList.allows(server, 'history'))
}
