import type { ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'

/** The identity keys of users of another server, by user id; device keys by device id below that. */
export type RemoteKeyAnswer = {
  readonly deviceKeys: ReadonlyMap<UserId, ReadonlyMap<string, JsonObject>>
  readonly masterKeys: ReadonlyMap<UserId, JsonObject>
  readonly selfSigningKeys: ReadonlyMap<UserId, JsonObject>
}

/** Keys of users of other servers. Implemented by federation. What it answers belongs to the users it was asked for. */
export interface RemoteKeys {
  /**
   * @param devices Which devices of each user; empty for all.
   * @param timeout Milliseconds.
   * @param asker The domain of ours that asks.
   * @returns undefined when the server cannot be reached.
   */
  query(
    server: ServerName,
    devices: ReadonlyMap<UserId, readonly string[]>,
    timeout: number,
    asker: ServerName,
  ): Promise<RemoteKeyAnswer | undefined>
  /**
   * @param wanted The algorithm for each device of each user.
   * @param timeout Milliseconds.
   * @param asker The domain of ours that asks.
   * @returns Keys by `<algorithm>:<key id>` for each device of each user; undefined when the server cannot be reached.
   */
  claim(
    server: ServerName,
    wanted: ReadonlyMap<UserId, ReadonlyMap<string, string>>,
    timeout: number,
    asker: ServerName,
  ): Promise<ReadonlyMap<UserId, ReadonlyMap<string, JsonObject>> | undefined>
}

/** Without federation no other server can be reached. */
export const noRemoteKeys: RemoteKeys = { query: async () => undefined, claim: async () => undefined }
