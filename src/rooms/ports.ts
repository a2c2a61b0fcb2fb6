import { MatrixError } from '../matrix/errors.ts'
import type { RoomAlias, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'

/** Rooms that other servers are in, and their users. Implemented by federation. */
export interface RemoteServers {
  /** Whether other servers can be reached at all. */
  readonly isOn: boolean
  /**
   * Brings a user of ours into a room that this deployment is not in; resolves when the room is here and the join in it.
   *
   * @param via Servers that may be in the room, tried in turn.
   * @param content What the membership's content has beside `membership`.
   * @throws MatrixError M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION; M_NOT_FOUND when none of the servers helps.
   */
  join(roomId: RoomId, userId: UserId, via: readonly ServerName[], content: JsonObject): Promise<void>
  /** @returns undefined when the alias is not known, or its server cannot be reached. */
  resolveAlias(alias: RoomAlias): Promise<{ roomId: RoomId; servers: readonly ServerName[] } | undefined>
  /** @returns undefined when the user is not known, or the server cannot be reached. */
  profile(userId: UserId): Promise<JsonObject | undefined>
}

/** Without federation no other server can be reached. */
export const noRemoteServers: RemoteServers = {
  isOn: false,
  async join() {
    throw new MatrixError('M_NOT_FOUND', 'No server that is in this room is known')
  },
  resolveAlias: async () => undefined,
  profile: async () => undefined,
}

/** Where federation, which is made after the rest, puts itself. */
export type RemoteServersPlace = {
  readonly current: RemoteServers
  use(given: RemoteServers): void
}

export function createRemoteServersPlace(): RemoteServersPlace {
  let current = noRemoteServers
  return {
    get current() {
      return current
    },
    use(given) {
      current = given
    },
  }
}
