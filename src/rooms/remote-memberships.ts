import type { Context } from '../context.ts'
import { jsonText } from '../matrix/canonical-json.ts'
import type { RoomEvent } from '../matrix/event.ts'
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import type { RoomRules } from '../matrix/room-versions.ts'
import {
  localMemberOf,
  type RemoteMembershipRow,
  remoteMembership,
  remoteMembershipsOfUser,
  saveRemoteMemberships,
  serversIn,
  storedMembershipEvent,
} from '../storage/remote-memberships.ts'
import { type Membership, membershipCodes, membershipOf } from '../storage/room-users.ts'
import type { Fact } from '../storage/stream.ts'
import type { HotRoom } from './hot-room.ts'

/**
 * What one of our users is in a room that this deployment is not in: there is a membership event and a few others that
 * somebody showed us, and no state.
 */
export type RemoteMembership = {
  readonly membership: Membership
  readonly position: number
  readonly event: RoomEvent
  /** What the user is shown of the room. Spec: Client-Server API, "Stripped state". */
  readonly stripped: readonly JsonObject[]
  /** Servers that know the room. */
  readonly servers: readonly ServerName[]
  readonly roomVersion: RoomRules['version']
}

/** Who of us is in a room, by room: looked for again only once that member has left. */
const knownMembers = new WeakMap<HotRoom, UserId>()

/** One of our users who is joined to a room; undefined when this deployment is not in it, whatever it knows of it. */
export async function localMember(
  ctx: Pick<Context, 'database' | 'hotRooms'>,
  room: HotRoom,
): Promise<UserId | undefined> {
  const known = knownMembers.get(room)
  if (known !== undefined) {
    await ctx.hotRooms.load(room, [['m.room.member', known]])
    if (room.get('m.room.member', known)?.pdu.content.membership === 'join') return known
  }
  const [row] = await ctx.database.read(localMemberOf, [room.room])
  if (row) knownMembers.set(room, row.user_id)
  return row?.user_id
}

/** The domain of ours that asks other servers about a room. */
export async function domainIn(
  ctx: Pick<Context, 'database' | 'hotRooms' | 'domains'>,
  room: HotRoom,
): Promise<ServerName> {
  const member = await localMember(ctx, room)
  return member === undefined ? ctx.domains.default : serverNameOf(member)
}

/**
 * The membership of a user of ours that another server told of, if nothing newer is in the state of the room.
 *
 * @param roomId also of a room that is not known here.
 */
export async function remoteMembershipOf(
  ctx: Pick<Context, 'database' | 'hotRooms'>,
  roomId: RoomId,
  userId: UserId,
): Promise<RemoteMembership | undefined> {
  const [row] = await ctx.database.read(remoteMembership, [roomId, userId])
  if (!row) return undefined
  const room = await ctx.hotRooms.get(roomId)
  await (room && ctx.hotRooms.load(room, [['m.room.member', userId]]))
  const inState = room?.entry('m.room.member', userId)?.since ?? -1
  return inState > row.position ? undefined : read(row)
}

/**
 * Servers through which a user may reach a room, the most likely first: those named, those that told of the membership, and
 * that of the inviter; where others were not named, also that of the room's id, and those that are in the room as far as
 * this deployment knows. With our own domains among them.
 */
export async function serversKnowing(
  ctx: Pick<Context, 'database' | 'domains' | 'hotRooms'>,
  roomId: RoomId,
  userId: UserId,
  via: readonly ServerName[],
): Promise<ServerName[]> {
  const room = await ctx.hotRooms.get(roomId)
  // Who names servers wants these, and no other one to vouch for the user.
  const isNamed = via.some((server) => !ctx.domains.isLocal(server))
  const [elsewhere, before] = await Promise.all([
    remoteMembershipOf(ctx, roomId, userId),
    room && !isNamed ? ctx.database.read(serversIn, [room.room]) : [],
  ])
  const inviter = elsewhere?.event.pdu.sender ?? room?.get('m.room.member', userId)?.pdu.sender
  const named = isNamed ? undefined : serverNameOf(roomId)
  return [
    ...new Set([
      ...via,
      ...(elsewhere?.servers ?? []),
      ...(inviter === undefined ? [] : [serverNameOf(inviter)]),
      ...(named === undefined ? [] : [named]),
      ...before.map(({ server }) => server),
    ]),
  ]
}

/** The same in many rooms, by room; also what the state has overtaken. */
export async function remoteMembershipsIn(
  ctx: Pick<Context, 'database' | 'dictionaries'>,
  userId: UserId,
  rooms: readonly number[],
): Promise<ReadonlyMap<number, RemoteMembership>> {
  if (rooms.length === 0) return new Map()
  const userNid = (await ctx.dictionaries.findUsers([userId])).get(userId)
  const rows = userNid === undefined ? [] : await ctx.database.read(remoteMembershipsOfUser, [userNid, rooms])
  return new Map(rows.map((row) => [row.room, read(row)]))
}

function read(row: RemoteMembershipRow & { readonly room_version: RoomRules['version'] }): RemoteMembership {
  return {
    membership: membershipOf(row.membership),
    position: row.position,
    event: storedMembershipEvent(row.pdu, row.room_version),
    stripped: JSON.parse(row.stripped) as JsonObject[],
    servers: JSON.parse(row.servers) as ServerName[],
    roomVersion: row.room_version,
  }
}

/** Stores what a user of ours is in a room that this deployment is not in, and tells the user. */
export async function saveRemoteMembership(
  ctx: Pick<Context, 'writer' | 'dictionaries'>,
  room: HotRoom,
  told: Pick<RemoteMembership, 'event' | 'stripped' | 'servers'>,
): Promise<void> {
  const { event, stripped, servers } = told
  const userId = event.pdu.state_key as UserId
  const membership = event.pdu.content.membership as Membership
  const userNid = (await ctx.dictionaries.internUsers([userId])).get(userId)!
  await ctx.writer.write({
    positions: 1,
    write(batch, position) {
      batch.add(saveRemoteMemberships, {
        user_nid: userNid,
        room: room.room,
        membership: membershipCodes[membership],
        position,
        pdu: jsonText(event.pdu as unknown as JsonObject),
        stripped: JSON.stringify(stripped),
        servers: JSON.stringify(servers),
      })
      const { roomId } = room
      const fact = { kind: 'remoteMembership', position, room: room.room, roomId, userNid, membership, event } as const
      batch.fact(fact satisfies Fact)
    },
  })
}
