import type { Requester } from '../../accounts/requesters.ts'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { type RoomId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import type { Json, JsonObject } from '../../matrix/json.ts'
import { createRoomAsAsked } from '../../rooms/create-room-as-asked.ts'
import type { HotRoom } from '../../rooms/hot-room.ts'
import { joinRoom } from '../../rooms/join-room.ts'
import { leaveRoom } from '../../rooms/leave-room.ts'
import { sendEvent } from '../../rooms/send-event.ts'
import { blockRoom, blockUntilPurged, localUsersIn, moveAliases, unblockPurged } from '../../storage/admin-rooms.ts'
import {
  deleteRemains,
  forgetTransactions,
  retiredNumbers,
  retireRoom,
  serversBehind,
} from '../../storage/purge-room.ts'
import { membershipCodes } from '../../storage/room-users.ts'
import { localAccount } from '../local-account.ts'

export type ShutDown = {
  readonly roomId: RoomId
  readonly requestedBy: UserId
  /** Whether nobody here may come back. */
  readonly block: boolean
  /** Whether everything that is known of the room is deleted in the end. */
  readonly purge: boolean
  /** Deletes it also where somebody of us could not be taken out. */
  readonly forcePurge: boolean
  /** Our users find themselves in a new room of this user's instead, who tells them why. */
  readonly newRoom: { readonly creator: UserId; readonly name: string; readonly message: string } | undefined
}

/** What has been done so far; goes on from there when it is done again. */
export type ShutDownResult = {
  readonly kicked_users: UserId[]
  readonly failed_to_kick_users: UserId[]
  readonly local_aliases: string[]
  readonly new_room_id: RoomId | null
}

const nothing: ShutDownResult = { kicked_users: [], failed_to_kick_users: [], local_aliases: [], new_room_id: null }

/** Users that are taken out together. */
const atOnce = 32

/**
 * Takes our users out of a room, and deletes what is known of it if asked to.
 *
 * @throws MatrixError M_NOT_FOUND for the user who is to have the new room; M_UNKNOWN when users are left in a room that is
 *   to be deleted.
 */
export async function shutDownRoom(
  ctx: Context,
  wish: ShutDown,
  before: Partial<ShutDownResult> = {},
  note: (result: ShutDownResult) => Promise<void> = async () => {},
  stop?: AbortSignal,
): Promise<ShutDownResult> {
  const { roomId, requestedBy } = wish
  let result: ShutDownResult = { ...nothing, ...before, failed_to_kick_users: [] }
  if (wish.block) {
    await blockRoom(ctx.database.db, { room_id: roomId, blocked_by: requestedBy, blocked_at: ctx.clock.now() })
    await ctx.blockedRooms.changed(roomId)
  }
  const room = await ctx.hotRooms.get(roomId)
  if (room) result = await empty(ctx, room, wish, result, note, stop)
  if (wish.purge && !stop?.aborted) await purge(ctx, wish, stop)
  return result
}

/** Takes everybody out, and the aliases. */
async function empty(
  ctx: Context,
  room: HotRoom,
  wish: ShutDown,
  before: ShutDownResult,
  note: (result: ShutDownResult) => Promise<void>,
  stop?: AbortSignal,
): Promise<ShutDownResult> {
  let result = before
  if (wish.newRoom && result.new_room_id === null) {
    result = { ...result, new_room_id: await openNewRoom(ctx, wish.newRoom) }
    await note(result)
  }
  const users = await ctx.database.read(localUsersIn, [room.room])
  for (let start = 0; start < users.length; start += atOnce) {
    if (stop?.aborted) return result
    const some = users.slice(start, start + atOnce)
    const moved = await Promise.all(some.map((user) => moveUser(ctx, room.roomId, user, result.new_room_id)))
    const [left, failed] = [some.filter((_, index) => moved[index]), some.filter((_, index) => !moved[index])]
    result = {
      ...result,
      kicked_users: [...result.kicked_users, ...left.map((user) => user.user_id)],
      failed_to_kick_users: [...result.failed_to_kick_users, ...failed.map((user) => user.user_id)],
    }
    await note(result)
  }
  const newRoom = result.new_room_id === null ? undefined : await ctx.hotRooms.get(result.new_room_id)
  const aliases = await ctx.database.transaction((query) => moveAliases(query, room.room, newRoom?.room))
  result = { ...result, local_aliases: [...result.local_aliases, ...aliases] }
  await note(result)
  return result
}

async function openNewRoom(
  ctx: Context,
  { creator, name, message }: NonNullable<ShutDown['newRoom']>,
): Promise<RoomId> {
  const requester = requesterOf(await localAccount(ctx, creator))
  const roomId = await createRoomAsAsked(ctx, requester, {
    preset: 'public_chat',
    name,
    power_level_content_override: { users_default: -10 },
  })
  const content = { msgtype: 'm.text', body: message }
  await sendEvent(ctx, roomId, { type: 'm.room.message', sender: creator, content })
  return roomId
}

/** @returns whether the user is out. */
async function moveUser(
  ctx: Context,
  roomId: RoomId,
  user: { readonly user_id: UserId; readonly membership: number },
  newRoomId: RoomId | null,
): Promise<boolean> {
  try {
    // In this order, so that who is cut off in between is still found in the old room.
    if (newRoomId !== null && user.membership === membershipCodes.join) await joinRoom(ctx, newRoomId, user.user_id)
    await leaveRoom(ctx, roomId, user.user_id, undefined)
    return true
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    ctx.log.warn({ roomId, userId: user.user_id, errcode: error.errcode }, 'A user could not be taken out of a room')
    return false
  }
}

/** Rows that are deleted together. */
const rowsAtOnce = 5000

/** Deletes what is known of the room; goes on with what an earlier attempt left. Nobody comes in meanwhile. */
async function purge(ctx: Context, wish: ShutDown, stop: AbortSignal | undefined): Promise<void> {
  const { roomId } = wish
  const room = await ctx.hotRooms.get(roomId)
  if (room) {
    const left = await ctx.database.read(localUsersIn, [room.room])
    if (left.length > 0 && !wish.forcePurge) {
      throw new MatrixError('M_UNKNOWN', 'Users of this server are still in the room')
    }
    const block = { room_id: roomId, blocked_by: wish.requestedBy, blocked_at: ctx.clock.now() }
    await blockUntilPurged(ctx.database.db, block)
    await ctx.blockedRooms.changed(roomId)
    await tellOthers(ctx, room.room, stop)
    const users = await ctx.database.transaction((query) => retireRoom(query, room.room))
    ctx.invalidations.publish('room', roomId)
    for (const nid of users) ctx.invalidations.publish('user-rooms', `${nid}`)
  }
  for (const { room: number } of await ctx.database.read(retiredNumbers, [roomId])) {
    await ctx.database.transaction((query) => forgetTransactions(query, number))
    while (!stop?.aborted) {
      if (!(await ctx.database.transaction((query) => deleteRemains(query, number, rowsAtOnce)))) break
    }
  }
  if (stop?.aborted) return
  await unblockPurged(ctx.database.db, roomId)
  await ctx.blockedRooms.changed(roomId)
}

/** Milliseconds between two looks at whether the other servers know, and looks. */
const lookEvery = 200
const looks = 50

/** Other servers hear that our users have left before that is forgotten: those, at least, that can be reached. */
async function tellOthers(ctx: Context, room: number, stop: AbortSignal | undefined): Promise<void> {
  if (!ctx.remoteServers.current.isOn) return
  const upTo = ctx.stream.position
  for (let look = 0; look < looks && !stop?.aborted; look++) {
    const behind = await ctx.database.read(serversBehind, [room, upTo, ctx.domains.all])
    if (behind.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, lookEvery))
  }
}

/** Somebody in whose name something is done. */
export function requesterOf(user: { readonly userId: UserId; readonly userNid: number }): Requester {
  return {
    userId: user.userId,
    userNid: user.userNid,
    deviceId: undefined,
    domain: serverNameOf(user.userId),
    isAdmin: false,
    isGuest: false,
    isLocked: false,
    isSuspended: false,
    tokenHash: '',
  }
}

/** What a request asks for. */
export function shutDownOf(
  roomId: RoomId,
  requestedBy: UserId,
  body: {
    readonly block?: boolean
    readonly purge?: boolean
    readonly force_purge?: boolean
    readonly new_room_user_id?: string
    readonly room_name?: string
    readonly message?: string
  },
): ShutDown {
  return {
    roomId,
    requestedBy,
    block: body.block ?? false,
    purge: body.purge ?? true,
    forcePurge: body.force_purge ?? false,
    newRoom:
      body.new_room_user_id === undefined
        ? undefined
        : {
            creator: body.new_room_user_id as UserId,
            name: body.room_name ?? 'A room was closed',
            message: body.message ?? 'The operators of this server have closed a room that you were in.',
          },
  }
}

export function shutDownJson(wish: ShutDown): JsonObject {
  return JSON.parse(JSON.stringify(wish)) as { [key: string]: Json }
}
