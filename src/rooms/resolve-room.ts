import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type RoomAlias, type RoomId, type ServerName, serverNameOf } from '../matrix/ids.ts'
import { statement } from '../storage/database.ts'
import { serversIn } from '../storage/remote-memberships.ts'

const roomOfAlias = statement<{ room_id: RoomId; room: number }>(
  'room of an alias',
  'select room_id, room from room_aliases join rooms using (room) where alias = $1',
)

export type ResolvedRoom = { readonly roomId: RoomId; readonly servers: readonly ServerName[] }

/**
 * The room that an id or an alias means, and servers to join it through.
 *
 * @param asker The domain of ours that asks another server.
 * @throws MatrixError M_NOT_FOUND for an alias that is not known.
 */
export async function resolveRoom(
  ctx: Pick<Context, 'database' | 'domains' | 'remoteServers'>,
  idOrAlias: RoomId | RoomAlias,
  asker: ServerName = ctx.domains.default,
): Promise<ResolvedRoom> {
  if (idOrAlias.startsWith('!')) return { roomId: idOrAlias as RoomId, servers: [] }
  const alias = idOrAlias as RoomAlias
  if (ctx.domains.isLocal(serverNameOf(alias))) {
    const [row] = await ctx.database.read(roomOfAlias, [alias])
    if (row) {
      const rows = await ctx.database.read(serversIn, [row.room])
      return { roomId: row.room_id, servers: [...new Set([serverNameOf(alias), ...rows.map(({ server }) => server)])] }
    }
  } else {
    const found = await ctx.remoteServers.current.resolveAlias(alias, asker)
    if (found) return found
  }
  throw new MatrixError('M_NOT_FOUND', `Room alias ${alias} not found`)
}
