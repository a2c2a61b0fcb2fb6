import { refuseBlockedInvite } from '../account-data/invite-permissions.ts'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { EventId, RoomId, UserId } from '../matrix/ids.ts'
import { serverNameOf } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { creatorsOf, powerLevelsOf } from '../matrix/power-levels.ts'
import { type Membership, membershipCodes, usersOfRoom } from '../storage/room-users.ts'
import type { EventDraft } from './append-event.ts'
import type { HotRoom } from './hot-room.ts'
import { inviteElsewhere } from './invite-elsewhere.ts'
import { localMember } from './remote-memberships.ts'
import { type SentTransactions, sendEvent } from './send-event.ts'

export type MembershipEngine = Parameters<typeof sendEvent>[0] &
  Pick<Context, 'config' | 'profiles' | 'pushRules' | 'remoteServers' | 'blockedRooms'> & {
    readonly sentTransactions: SentTransactions
  }

/** What somebody does to a membership, their own or another's. */
export type MembershipChange = {
  readonly sender: UserId
  readonly target: UserId
  readonly membership: Membership
  readonly reason?: string
  readonly isDirect?: boolean
  /** What a client put into the content of the event besides. */
  readonly content?: JsonObject
  /** The sender is a guest. */
  readonly isOfGuest?: boolean
}

/**
 * Changes a membership in a room this deployment is in, and resolves with the event that says so.
 *
 * Spec: Client-Server API, "Room membership".
 *
 * @throws MatrixError M_FORBIDDEN where the authorisation rules refuse; M_GUEST_ACCESS_FORBIDDEN; M_NOT_FOUND for an unknown room.
 */
export async function changeMembership(
  ctx: MembershipEngine,
  roomId: RoomId,
  change: MembershipChange,
): Promise<EventId> {
  const content = await membershipContent(ctx, change)
  const draft: EventDraft = {
    type: 'm.room.member',
    sender: change.sender,
    stateKey: change.target,
    content,
    ...(change.isOfGuest && { isOfGuest: true }),
  }
  if (change.membership === 'invite' && ctx.domains.isLocal(serverNameOf(change.target))) {
    await refuseBlockedInvite(ctx, change.target, change.sender)
  }
  if (change.membership === 'invite' && isReached(ctx, change.target)) return inviteElsewhere(ctx, roomId, draft)
  if (change.membership !== 'join') return sendEvent(ctx, roomId, draft)
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
  const authorisedVia = await restrictedJoinAuthoriser(ctx, room, change.target)
  return sendEvent(ctx, roomId, {
    ...draft,
    content: authorisedVia ? { ...content, join_authorised_via_users_server: authorisedVia } : content,
  })
}

/** A user of another server, which can be asked. */
function isReached(ctx: Pick<Context, 'domains' | 'remoteServers'>, userId: UserId): boolean {
  return ctx.remoteServers.current.isOn && !ctx.domains.isLocal(serverNameOf(userId))
}

/**
 * Makes somebody else leave: a kick takes out who is in, an unban lets in again who is banned.
 *
 * @throws MatrixError M_FORBIDDEN when the target is in none of the states that it is taken out of.
 */
export async function removeMember(
  ctx: MembershipEngine,
  roomId: RoomId,
  removal: {
    readonly sender: UserId
    readonly target: UserId
    readonly from: readonly Membership[]
    readonly reason?: string
  },
): Promise<void> {
  const room = await ctx.hotRooms.get(roomId)
  if (!room) throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
  await ctx.hotRooms.load(room, [['m.room.member', removal.target]])
  const membership = room.get('m.room.member', removal.target)?.pdu.content.membership as Membership | undefined
  if (!membership || !removal.from.includes(membership)) {
    throw new MatrixError('M_FORBIDDEN', `The user is ${membership ?? 'not in the room'}`)
  }
  await changeMembership(ctx, roomId, {
    sender: removal.sender,
    target: removal.target,
    membership: 'leave',
    ...(removal.reason !== undefined && { reason: removal.reason }),
  })
}

/** The content of the event that says so. */
export async function membershipContent(ctx: MembershipEngine, change: MembershipChange): Promise<JsonObject> {
  const content: Record<string, Json> = { ...change.content }
  // Who vouches for a join is not the client's to say.
  delete content.join_authorised_via_users_server
  const carriesProfile = change.membership === 'join' || change.membership === 'invite' || change.membership === 'knock'
  if (carriesProfile && serverNameOf(change.target) !== undefined && ctx.domains.isLocal(serverNameOf(change.target))) {
    const users = await ctx.dictionaries.internUsers([change.target])
    const profile = await ctx.profiles.of(users.get(change.target)!)
    if (profile.displayname !== undefined) content.displayname ??= profile.displayname
    if (profile.avatar_url !== undefined) content.avatar_url ??= profile.avatar_url
  }
  if (change.reason !== undefined) content.reason = change.reason
  if (change.isDirect) content.is_direct = true
  content.membership = change.membership
  return content
}

/**
 * Who of us vouches for a user that joins a restricted room: a local member with the power to invite, if the user is in one
 * of the rooms that the join rules allow.
 *
 * Spec: Client-Server API, "Restricted rooms".
 *
 * @returns undefined where nobody has to vouch.
 * @throws MatrixError M_FORBIDDEN when the user is in none of the allowed rooms; M_UNABLE_TO_AUTHORISE_JOIN when that cannot
 * be known here, M_UNABLE_TO_GRANT_JOIN when nobody here may invite.
 */
export async function restrictedJoinAuthoriser(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'dictionaries' | 'domains'>,
  room: HotRoom,
  target: UserId,
): Promise<UserId | undefined> {
  const joinRules = room.get('m.room.join_rules', '')?.pdu.content
  const rule = joinRules?.join_rule
  if (rule !== 'restricted' && rule !== 'knock_restricted') return undefined
  if (!room.rules.auth.restrictedJoin) return undefined
  await ctx.hotRooms.load(room, [['m.room.member', target]])
  const membership = room.get('m.room.member', target)?.pdu.content.membership
  if (membership === 'join' || membership === 'invite') return undefined
  const isAllowed = await isInAllowedRoom(ctx, joinRules!, target)
  if (isAllowed === undefined && !ctx.domains.isLocal(serverNameOf(target))) {
    throw new MatrixError('M_UNABLE_TO_AUTHORISE_JOIN', 'This server is in none of the rooms whose members may join')
  }
  if (!isAllowed) {
    throw new MatrixError('M_FORBIDDEN', 'You are in none of the rooms whose members may join this one')
  }
  const authoriser = await localInviter(ctx, room)
  if (!authoriser) throw new MatrixError('M_UNABLE_TO_GRANT_JOIN', 'No local member of the room may invite')
  return authoriser
}

const mostAllowedRooms = 50

/** Undefined when this deployment is in none of the rooms, as far as any are named: what it remembers of them counts for nothing. */
async function isInAllowedRoom(
  ctx: Pick<Context, 'hotRooms' | 'database'>,
  joinRules: JsonObject,
  target: UserId,
): Promise<boolean | undefined> {
  let isNamed = false
  let isJudged = false
  const allow = Array.isArray(joinRules.allow) ? (joinRules.allow as readonly Json[]) : []
  for (const condition of allow.slice(0, mostAllowedRooms)) {
    if (typeof condition !== 'object' || condition === null || Array.isArray(condition)) continue
    const { type, room_id: roomId } = condition as JsonObject
    if (type !== 'm.room_membership' || typeof roomId !== 'string') continue
    isNamed = true
    const room = await ctx.hotRooms.get(roomId as RoomId)
    if (!room || (await localMember(ctx, room)) === undefined) continue
    isJudged = true
    await ctx.hotRooms.load(room, [['m.room.member', target]])
    if (room.get('m.room.member', target)?.pdu.content.membership === 'join') return true
  }
  return isNamed && !isJudged ? undefined : false
}

/** A joined local user whose level suffices to invite. Looks at those the power levels name first. */
async function localInviter(
  ctx: Pick<Context, 'hotRooms' | 'database' | 'dictionaries' | 'domains'>,
  room: HotRoom,
): Promise<UserId | undefined> {
  const create = room.get('m.room.create', '')!
  const content = room.get('m.room.power_levels', '')?.pdu.content
  const levels = powerLevelsOf(content, create, room.rules)
  const mayInvite = (userId: UserId): boolean =>
    ctx.domains.isLocal(serverNameOf(userId)) && levels.userLevel(userId) >= levels.invite
  const named = [...creatorsOf(create, room.rules), ...Object.keys((content?.users ?? {}) as JsonObject)] as UserId[]
  const candidates = named.filter(mayInvite)
  await ctx.hotRooms.load(
    room,
    candidates.map((userId) => ['m.room.member', userId]),
  )
  const isJoined = (userId: UserId): boolean => room.get('m.room.member', userId)?.pdu.content.membership === 'join'
  const found = candidates.find(isJoined)
  if (found || levels.usersDefault < levels.invite) return found
  const members = await ctx.database.read(usersOfRoom, [room.room, [membershipCodes.join]])
  const userIds = await ctx.dictionaries.userIds(members.map((member) => member.user_nid))
  return [...userIds.values()].find(mayInvite)
}
