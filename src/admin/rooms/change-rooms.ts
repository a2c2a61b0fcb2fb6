import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, type RoomAlias, type RoomId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { creatorsOf, powerLevelsOf } from '../../matrix/power-levels.ts'
import type { HotRoom } from '../../rooms/hot-room.ts'
import { inviteUser } from '../../rooms/invite-user.ts'
import { joinRoom } from '../../rooms/join-room.ts'
import { resolveRoom } from '../../rooms/resolve-room.ts'
import { isJoined } from '../../rooms/room-access.ts'
import { sendEvent } from '../../rooms/send-event.ts'
import { setState } from '../../rooms/set-state.ts'
import { blockRoom as block, extremitiesOf, findBlock, joinedUserIds, unblockRoom } from '../../storage/admin-rooms.ts'
import { localAccount } from '../local-account.ts'
import { parseRoomIdOrAlias, userIdText } from '../parsers.ts'
import { text } from '../schemas.ts'
import { knownRoom } from './known-room.ts'

const params = { roomId: parseRoomId }
const blockPath = '/_synapse/admin/v1/rooms/{roomId}/block'

export const getBlock = endpoint({
  method: 'get',
  path: blockPath,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const row = await findBlock(ctx.database.db, params.roomId)
    return { block: row !== undefined, ...(row && { user_id: row.blocked_by }) }
  },
})

export const setBlock = endpoint({
  method: 'put',
  path: blockPath,
  auth: 'admin',
  params,
  body: Type.Object({ block: Type.Boolean() }),
  async handle(ctx, { params, body, requester }) {
    const { db } = ctx.database
    const row = { room_id: params.roomId, blocked_by: requester.userId, blocked_at: ctx.clock.now() }
    await (body.block ? block(db, row) : unblockRoom(db, params.roomId))
    await ctx.blockedRooms.changed(params.roomId)
    return { block: body.block }
  },
})

/** Joins one of our users to a room; where an invite is needed, an administrator who is in the room gives it. */
export const joinUser = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/join/{roomIdOrAlias}',
  auth: 'admin',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  query: Type.Object({
    server_name: Type.Optional(Type.Array(text, { maxItems: 100 })),
    via: Type.Optional(Type.Array(text, { maxItems: 100 })),
  }),
  body: Type.Object({ user_id: userIdText }),
  async handle(ctx, { params, query, body, requester }) {
    const account = await localAccount(ctx, body.user_id as UserId)
    const resolved = await resolveRoom(ctx, params.roomIdOrAlias as RoomId | RoomAlias)
    const room = await ctx.hotRooms.get(resolved.roomId)
    if (room && (await needsInvite(ctx, room, account.userId)) && (await isJoined(ctx, room, requester.userId))) {
      await inviteUser(ctx, resolved.roomId, { sender: requester.userId, target: account.userId })
    }
    const via = [...(query.via ?? []), ...(query.server_name ?? []), ...resolved.servers]
    return { room_id: await joinRoom(ctx, resolved.roomId, account.userId, {}, via) }
  },
})

async function needsInvite(ctx: Pick<Context, 'hotRooms'>, room: HotRoom, userId: UserId): Promise<boolean> {
  if (room.get('m.room.join_rules', '')?.pdu.content.join_rule === 'public') return false
  await ctx.hotRooms.load(room, [['m.room.member', userId]])
  const membership = room.get('m.room.member', userId)?.pdu.content.membership
  return membership !== 'join' && membership !== 'invite'
}

/**
 * Gives one of our users the highest level that a user of ours has in the room, and invites them where they could not come
 * in otherwise.
 */
export const makeRoomAdmin = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/rooms/{roomIdOrAlias}/make_room_admin',
  auth: 'admin',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  body: Type.Object({ user_id: Type.Optional(userIdText) }),
  async handle(ctx, { params, body, requester }) {
    const room = await knownRoom(ctx, params.roomIdOrAlias as RoomId | RoomAlias)
    const userId = (body.user_id ?? requester.userId) as UserId
    const giver = await mightiest(ctx, room)
    if (!giver) throw new MatrixError('M_UNKNOWN', 'No user of this server has power in the room', { status: 400 })
    const content = room.get('m.room.power_levels', '')?.pdu.content ?? {}
    const users = { ...(content.users as JsonObject | undefined), [userId]: giver.level }
    await setState(ctx, room.roomId, {
      type: 'm.room.power_levels',
      sender: giver.userId,
      stateKey: '',
      content: { ...content, users },
    })
    if (await needsInvite(ctx, room, userId)) {
      await inviteUser(ctx, room.roomId, { sender: giver.userId, target: userId })
    }
    return {}
  },
})

/** A joined user of ours with the power to change the levels, and the level to give. */
async function mightiest(ctx: Context, room: HotRoom): Promise<{ userId: UserId; level: number } | undefined> {
  const create = room.get('m.room.create', '')
  if (!create) return undefined
  const content = room.get('m.room.power_levels', '')?.pdu.content
  const levels = powerLevelsOf(content, create, room.rules)
  const creators = new Set<UserId>(creatorsOf(create, room.rules))
  const needed = levelFor(content, 'm.room.power_levels')
  let best: { userId: UserId; level: number } | undefined
  for (const { user_id: userId } of await ctx.database.read(joinedUserIds, [room.room])) {
    if (!ctx.domains.isLocal(serverNameOf(userId))) continue
    // Above all levels, so what they can give is what the room needs of an administrator.
    if (room.rules.auth.privilegedCreators && creators.has(userId)) return { userId, level: Math.max(needed, 100) }
    const level = levels.userLevel(userId)
    if (level >= needed && level > (best?.level ?? Number.NEGATIVE_INFINITY)) best = { userId, level }
  }
  return best
}

function levelFor(content: JsonObject | undefined, type: string): number {
  const events = (content?.events ?? {}) as JsonObject
  const level = events[type] ?? content?.state_default ?? (content === undefined ? 0 : 50)
  return typeof level === 'number' ? level : 50
}

const extremitiesPath = '/_synapse/admin/v1/rooms/{roomIdOrAlias}/forward_extremities'

export const getExtremities = endpoint({
  method: 'get',
  path: extremitiesPath,
  auth: 'admin',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  async handle(ctx, { params }) {
    const room = await knownRoom(ctx, params.roomIdOrAlias as RoomId | RoomAlias)
    const rows = await ctx.database.read(extremitiesOf, [room.roomId])
    const events = new Map((await ctx.events.byNids(rows.map((row) => row.event_nid))).map((one) => [one.nid, one]))
    const results = rows.map((row) => ({
      event_id: events.get(row.event_nid)!.event.eventId,
      state_group: row.event_nid,
      depth: row.depth,
      received_ts: row.origin_server_ts,
    }))
    return { count: results.length, results }
  },
})

/** Joins the ends of the room's graph with an event that says nothing, as far as one event can. */
export const mergeExtremities = endpoint({
  method: 'delete',
  path: extremitiesPath,
  auth: 'admin',
  params: { roomIdOrAlias: parseRoomIdOrAlias },
  async handle(ctx, { params }) {
    const room = await knownRoom(ctx, params.roomIdOrAlias as RoomId | RoomAlias)
    const before = (await ctx.database.read(extremitiesOf, [room.roomId])).length
    if (before <= 1) return { deleted: 0 }
    const sender = await mightiest(ctx, room)
    if (!sender) throw new MatrixError('M_UNKNOWN', 'No user of this server has power in the room', { status: 400 })
    await sendEvent(ctx, room.roomId, { type: 'org.matrix.dummy_event', sender: sender.userId, content: {} })
    const after = (await ctx.database.read(extremitiesOf, [room.roomId])).length
    return { deleted: Math.max(0, before - after) }
  },
})
