import { changeTags } from '../account-data/account-data.ts'
import { createMissingAccounts } from '../accounts/create-account.ts'
import type { Requester } from '../accounts/requesters.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type EventId, type RoomId, serverNameOf, type UserId } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { setProfileField } from '../profiles/set-profile.ts'
import { createRoomAsAsked } from '../rooms/create-room-as-asked.ts'
import { joinRoom } from '../rooms/join-room.ts'
import { changeMembership } from '../rooms/membership.ts'
import { sendEvent } from '../rooms/send-event.ts'
import { insertNoticeRoom, noticeRoomOf } from '../storage/server-notices.ts'

export type ServerNotice = {
  readonly type: string
  readonly stateKey: string | undefined
  readonly content: JsonObject
  /** Of whoever sends it: the same one twice is one notice. */
  readonly txnId: string | undefined
}

/**
 * Tells a user something in the server's own name, in a room for that alone, which is made when it is needed. Who has left
 * the room is invited again.
 *
 * Spec: Client-Server API, "Server Notices" (v1.19).
 *
 * @throws MatrixError M_UNKNOWN (400) where there are no server notices.
 */
export async function sendServerNotice(
  ctx: Context,
  user: { readonly userId: UserId; readonly userNid: number },
  notice: ServerNotice,
): Promise<EventId> {
  const sender = await noticesUser(ctx, serverNameOf(user.userId))
  const roomId = (await roomOf(ctx, user.userNid)) ?? (await openRoom(ctx, sender, user))
  await inviteUnlessThere(ctx, sender.userId, roomId, user)
  const draft = {
    type: notice.type,
    sender: sender.userId,
    content: notice.content,
    ...(notice.stateKey !== undefined && { stateKey: notice.stateKey }),
  }
  const { txnId } = notice
  const transaction =
    txnId === undefined ? undefined : { userNid: sender.userNid, deviceId: '', scope: 'server notice', txnId }
  return sendEvent(ctx, roomId, draft, transaction)
}

async function roomOf(ctx: Pick<Context, 'database'>, userNid: number): Promise<RoomId | undefined> {
  return (await ctx.database.read(noticeRoomOf, [userNid]))[0]?.room_id
}

/** The user of a domain who sends them, named as the configuration says now. */
async function noticesUser(ctx: Context, domain: string): Promise<Requester> {
  const { localpart, display_name: displayName, avatar_url: avatarUrl } = ctx.config.server_notices
  if (localpart === undefined) {
    throw new MatrixError('M_UNKNOWN', 'Server notices are not switched on', { status: 400 })
  }
  const userId: UserId = `@${localpart}:${domain}`
  await createMissingAccounts(ctx, [userId])
  const userNid = (await ctx.dictionaries.internUsers([userId])).get(userId)!
  const profile = await ctx.profiles.of(userNid)
  const user = { userId, userNid }
  if (profile.displayname !== displayName) await setProfileField(ctx, user, 'displayname', displayName)
  if (profile.avatar_url !== avatarUrl) await setProfileField(ctx, user, 'avatar_url', avatarUrl)
  return {
    ...user,
    deviceId: undefined,
    domain,
    isAdmin: false,
    isGuest: false,
    isLocked: false,
    isSuspended: false,
    tokenHash: '',
  }
}

async function openRoom(
  ctx: Context,
  sender: Requester,
  user: { readonly userId: UserId; readonly userNid: number },
): Promise<RoomId> {
  const { room_name: name, room_topic: topic } = ctx.config.server_notices
  const roomId = await createRoomAsAsked(ctx, sender, {
    preset: 'private_chat',
    name,
    ...(topic !== undefined && { topic }),
    power_level_content_override: { users_default: -10 },
  })
  const room = (await ctx.hotRooms.get(roomId))!
  await ctx.database.read(insertNoticeRoom, [user.userNid, room.room])
  const taken = (await roomOf(ctx, user.userNid))!
  // Somebody else was faster, and nobody was invited to this one yet.
  if (taken !== roomId) return taken
  await changeTags(ctx, user.userNid, roomId, (tags) => tags.set('m.server_notice', {}))
  return roomId
}

async function inviteUnlessThere(
  ctx: Context,
  sender: UserId,
  roomId: RoomId,
  user: { readonly userId: UserId; readonly userNid: number },
): Promise<void> {
  const room = (await ctx.hotRooms.get(roomId))!
  await ctx.hotRooms.load(room, [['m.room.member', user.userId]])
  const membership = room.get('m.room.member', user.userId)?.pdu.content.membership
  if (membership !== 'join' && membership !== 'invite') {
    await changeMembership(ctx, roomId, { sender, target: user.userId, membership: 'invite' })
  }
  if (ctx.config.server_notices.auto_join && membership !== 'join') await joinRoom(ctx, roomId, user.userId)
}
