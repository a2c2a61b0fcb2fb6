import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomId, ServerName } from '../../src/matrix/ids.ts'
import type { Federation } from '../federation.ts'
import { RemoteRefusal } from './client.ts'

const mostServers = 10

/**
 * Asks servers for the same thing, one after the other, until one helps.
 *
 * @throws MatrixError what the last of them gave as a reason that clients have to know; M_NOT_FOUND when none did.
 */
export async function tryServers<Answer>(
  { ctx, allowList }: Federation,
  roomId: RoomId,
  via: readonly ServerName[],
  ask: (server: ServerName) => Promise<Answer>,
): Promise<Answer> {
  const others = [...new Set(via)].filter((server) => !ctx.domains.isLocal(server))
  const servers = others.filter((server) => allowList.allows(server, 'join')).slice(0, mostServers)
  let refusal =
    servers.length < others.length
      ? new MatrixError('M_FORBIDDEN', 'The servers of this room are not federated with')
      : undefined
  for (const server of servers) {
    try {
      return await ask(server)
    } catch (error) {
      refusal = refusalOf(error) ?? refusal
      const answer = error instanceof RemoteRefusal ? error.body : undefined
      ctx.log.info({ server, roomId, error: (error as Error).message, answer }, 'A server did not help with a room')
    }
  }
  throw refusal ?? new MatrixError('M_NOT_FOUND', 'No server that is in this room could be asked')
}

/** Another server's words never reach our clients; of its errors only what they have to know. */
export function refusalOf(error: unknown): MatrixError | undefined {
  if (error instanceof MatrixError) {
    return error.errcode === 'M_INCOMPATIBLE_ROOM_VERSION' || error.errcode === 'M_FORBIDDEN' ? error : undefined
  }
  if (!(error instanceof RemoteRefusal)) return undefined
  const { errcode, room_version: version } = error.body
  switch (errcode) {
    case 'M_INCOMPATIBLE_ROOM_VERSION':
      return new MatrixError(errcode, 'The version of this room is not supported', {
        ...(typeof version === 'string' && { extra: { room_version: version.slice(0, 255) } }),
      })
    case 'M_UNABLE_TO_AUTHORISE_JOIN':
    case 'M_UNABLE_TO_GRANT_JOIN':
      return new MatrixError(errcode, 'The servers that were asked could not let you in')
    default:
      return error.status === 403 ? new MatrixError('M_FORBIDDEN', 'The room may not be entered') : undefined
  }
}
