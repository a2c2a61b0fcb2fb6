import { Type } from '@sinclair/typebox'
import { checkUserIdFree, newUserId } from '../../accounts/create-account.ts'
import { connectionsOf } from '../../devices/connections.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { pushersOf } from '../../push/set-pusher.ts'
import { findAccount } from '../../storage/accounts.ts'
import {
  accountDataOfUser,
  invitesSent,
  joinedRoomIds,
  membershipsOfUser,
  roomsJoinedSince,
  userOfExternalId,
} from '../../storage/admin-users.ts'
import { membershipOf } from '../../storage/room-users.ts'
import { userOfThreepid } from '../../storage/threepids.ts'
import { localAccount } from '../local-account.ts'

const params = { userId: parseUserId }

export const whois = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/whois/{userId}',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const devices: { [deviceId: string]: unknown } = Object.create(null)
    for (const [deviceId, connection] of await connectionsOf(ctx, account.userNid)) {
      devices[deviceId] = { sessions: [{ connections: connection === undefined ? [] : [connection] }] }
    }
    return { user_id: params.userId, devices }
  },
})

export const isUsernameAvailable = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/username_available',
  auth: 'admin',
  query: Type.Object({ username: Type.String() }),
  async handle(ctx, { query, domain }) {
    await checkUserIdFree(ctx, newUserId(ctx, query.username, domain))
    return { available: true }
  },
})

/** The rooms that a user of any server is joined to, as far as they are known here. */
export const joinedRooms = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/users/{userId}/joined_rooms',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const nid = (await ctx.dictionaries.findUsers([params.userId])).get(params.userId)
    const rows = nid === undefined ? [] : await ctx.database.read(joinedRoomIds, [nid])
    return { joined_rooms: rows.map((row) => row.room_id), total: rows.length }
  },
})

export const memberships = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/users/{userId}/memberships',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const rows = await ctx.database.read(membershipsOfUser, [account.userNid])
    return { memberships: Object.fromEntries(rows.map((row) => [row.room_id, membershipOf(row.membership)])) }
  },
})

export const userPushers = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/users/{userId}/pushers',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const pushers = (await pushersOf(ctx, await localAccount(ctx, params.userId))).map((pusher) => ({
      app_display_name: pusher.app_display_name,
      app_id: pusher.app_id,
      data: JSON.parse(pusher.data),
      device_display_name: pusher.device_display_name,
      kind: pusher.kind,
      lang: pusher.lang,
      profile_tag: pusher.profile_tag ?? '',
      pushkey: pusher.pushkey,
    }))
    return { pushers, total: pushers.length }
  },
})

export const userAccountData = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/users/{userId}/accountdata',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const account = await localAccount(ctx, params.userId)
    const global: { [type: string]: unknown } = Object.create(null)
    const rooms: { [roomId: string]: { [type: string]: unknown } } = Object.create(null)
    for (const { room_id: roomId, type, content } of await ctx.database.read(accountDataOfUser, [account.userNid])) {
      const place = roomId === null ? global : (rooms[roomId] ??= Object.create(null) as { [type: string]: unknown })
      place[type] = JSON.parse(content)
    }
    return { account_data: { global, rooms } }
  },
})

const since = Type.Object({ from_ts: Type.Integer({ minimum: 0 }) })

export const sentInviteCount = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/users/{userId}/sent_invite_count',
  auth: 'admin',
  params,
  query: since,
  async handle(ctx, { params, query }) {
    const account = await localAccount(ctx, params.userId)
    return { invite_count: (await ctx.database.read(invitesSent, [account.userNid, query.from_ts]))[0]!.count }
  },
})

export const joinedRoomCount = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/users/{userId}/cumulative_joined_room_count',
  auth: 'admin',
  params,
  query: since,
  async handle(ctx, { params, query }) {
    const account = await localAccount(ctx, params.userId)
    const [row] = await ctx.database.read(roomsJoinedSince, [account.userNid, query.from_ts])
    return { cumulative_joined_room_count: row!.count }
  },
})

export const findByThreepid = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/threepid/{medium}/users/{address}',
  auth: 'admin',
  async handle(ctx, { params }) {
    const [row] = await ctx.database.read(userOfThreepid, [params.medium, params.address.trim().toLowerCase()])
    if (!row) throw new MatrixError('M_NOT_FOUND', 'User not found')
    return { user_id: row.user_id }
  },
})

export const findByExternalId = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/auth_providers/{provider}/users/{externalId}',
  auth: 'admin',
  async handle(ctx, { params }) {
    const [row] = await ctx.database.read(userOfExternalId, [params.provider, params.externalId])
    const account = row && (await findAccount(ctx.database.db, row.user_id))
    if (!account) throw new MatrixError('M_NOT_FOUND', 'User not found')
    return { user_id: account.user_id }
  },
})
