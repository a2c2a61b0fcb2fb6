import { MatrixError } from '../matrix/errors.ts'
import type { RoomEvent } from '../matrix/event.ts'
import type { RoomAlias, RoomId, ServerName, UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { RoomRules, RoomVersion } from '../matrix/room-versions.ts'
import type { StoredEvent } from '../storage/events.ts'
import type { HotRoom } from './hot-room.ts'
import type { PolicyServer } from './policy-server.ts'
import type { PublicRoomsQuery } from './public-rooms.ts'
import type { SpaceChild } from './space-children.ts'

/** A membership that another server has taken in, of a room that this deployment is not in. */
export type TakenMembership = {
  readonly event: RoomEvent
  readonly roomVersion: RoomVersion
  /** What the server shows of the room. Spec: Client-Server API, "Stripped state". */
  readonly stripped: readonly JsonObject[]
  readonly server: ServerName
}

/** What another server says a room is, of which only what the specification names is here. Nothing vouches for it. */
export type ToldRoom = JsonObject & {
  readonly room_id: RoomId
  readonly world_readable: boolean
  readonly join_rule?: string
  readonly room_type?: string
  readonly allowed_room_ids?: readonly RoomId[]
}

/** A room and, if it is a space, what is in it, as one other server says. */
export type ToldSpace = {
  readonly room: ToldRoom
  readonly children: readonly SpaceChild[]
  /** Of the children those that the server knows. */
  readonly rooms: ReadonlyMap<RoomId, ToldRoom>
  /** Those that nobody of us may know of. */
  readonly inaccessible: ReadonlySet<RoomId>
}

/** Rooms that other servers are in, and their users. Implemented by federation. An asker is the domain of ours that asks. */
export interface RemoteServers {
  /** Whether other servers can be reached at all. */
  readonly isOn: boolean
  /** Whether a server is one of those that may be told something. */
  reaches(server: ServerName): boolean
  /**
   * Brings a user of ours into a room that this deployment is not in, or where nobody of us may let them in; resolves when
   * the room is here and the join in it.
   *
   * @param via Servers that may be in the room, tried in turn.
   * @param content What the membership's content has beside `membership`.
   * @throws MatrixError M_FORBIDDEN, M_UNABLE_TO_AUTHORISE_JOIN, M_UNABLE_TO_GRANT_JOIN, M_INCOMPATIBLE_ROOM_VERSION;
   * M_NOT_FOUND when none of the servers helps.
   */
  join(roomId: RoomId, userId: UserId, via: readonly ServerName[], content: JsonObject): Promise<void>
  /** The same for a knock, which is not stored yet. */
  knock(roomId: RoomId, userId: UserId, via: readonly ServerName[], content: JsonObject): Promise<TakenMembership>
  /** The same for the leaving of who was only invited or knocked. */
  leave(roomId: RoomId, userId: UserId, via: readonly ServerName[], content: JsonObject): Promise<TakenMembership>
  /**
   * Has the server of the invited sign an invite to a room of ours that is not placed in it yet.
   *
   * @param shown Events of the room's state, for the invited to see.
   * @throws MatrixError M_FORBIDDEN when the server refuses; M_CONNECTION_FAILED.
   */
  invite(event: RoomEvent, room: HotRoom, shown: readonly RoomEvent[]): Promise<RoomEvent>
  /**
   * Has a policy server sign an event that is in no room yet, unless it has.
   *
   * @throws MatrixError what the policy server refuses it with; M_CONNECTION_FAILED.
   */
  recommend(event: RoomEvent, rules: RoomRules, policy: PolicyServer): Promise<RoomEvent>
  /**
   * Asks the server of who invited an address to invite the user of ours who has proved it.
   *
   * @throws MatrixError M_FORBIDDEN when the server refuses; M_CONNECTION_FAILED.
   */
  exchangeInvite(
    roomId: RoomId,
    proved: { readonly sender: UserId; readonly target: UserId; readonly signed: JsonObject },
  ): Promise<void>
  /**
   * Asks servers in a room for what was before an event with a gap before it, and stores it there. Never fails: what other
   * servers do not tell stays unknown.
   *
   * @returns whether anything came in.
   */
  fillGap(room: HotRoom, after: StoredEvent): Promise<boolean>
  /** @returns undefined when the alias is not known, or its server cannot be reached. */
  resolveAlias(
    alias: RoomAlias,
    asker: ServerName,
  ): Promise<{ roomId: RoomId; servers: readonly ServerName[] } | undefined>
  /** @returns undefined when the user is not known, or the server cannot be reached. */
  profile(userId: UserId, asker: ServerName): Promise<JsonObject | undefined>
  /**
   * A page of another server's directory.
   *
   * @throws MatrixError M_FORBIDDEN for a server that is not federated with, or whose directory is not public;
   * M_INVALID_PARAM for a token that is not its own; M_CONNECTION_FAILED.
   */
  publicRooms(server: ServerName, asker: ServerName, query: PublicRoomsQuery): Promise<JsonObject>
  /**
   * What a room is, and what is in it if it is a space; remembered for a while.
   *
   * @param via Servers that may know the room, tried in turn.
   * @returns undefined when none of them says.
   */
  hierarchy(
    roomId: RoomId,
    via: readonly ServerName[],
    asker: ServerName,
    suggestedOnly: boolean,
  ): Promise<ToldSpace | undefined>
  /**
   * Brings in the history up to the event that other servers have nearest to a time, if that is nearer than what is here.
   *
   * @param ts Milliseconds since the epoch; `own` is likewise what is here.
   * @returns whether anything came in.
   */
  fetchHistoryAt(room: HotRoom, ts: number, direction: 'f' | 'b', own: number | undefined): Promise<boolean>
}

async function nobody(): Promise<never> {
  throw new MatrixError('M_NOT_FOUND', 'No server that is in this room is known')
}

/** Without federation no other server can be reached. */
export const noRemoteServers: RemoteServers = {
  isOn: false,
  reaches: () => false,
  join: nobody,
  knock: nobody,
  leave: nobody,
  invite: nobody,
  recommend: nobody,
  exchangeInvite: nobody,
  fillGap: async () => false,
  resolveAlias: async () => undefined,
  profile: async () => undefined,
  publicRooms: nobody,
  hierarchy: async () => undefined,
  fetchHistoryAt: async () => false,
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
