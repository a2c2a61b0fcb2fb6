import {
  deleteAccountData,
  getAccountData,
  refuseReservedType,
  roomNumber,
  setAccountData,
} from '../../account-data/account-data.ts'
import { endpoint } from '../../http/endpoint.ts'
import { anyObject } from '../../http/validation.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, parseUserId } from '../../matrix/ids.ts'
import { parseType } from '../rooms/schemas.ts'
import { refuseOthers } from './own-data.ts'

/** Bytes. */
const largest = 64 * 1024

const global = [
  '/_matrix/client/v3/user/{userId}/account_data/{type}',
  '/_matrix/client/r0/user/{userId}/account_data/{type}',
] as const
const perRoom = [
  '/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}',
  '/_matrix/client/r0/user/{userId}/rooms/{roomId}/account_data/{type}',
] as const

/** Spec: Client-Server API, `PUT /_matrix/client/v3/user/{userId}/account_data/{type}` (v1.19). */
export const setGlobalAccountData = endpoint({
  method: 'put',
  path: global,
  auth: 'userOrGuest',
  params: { userId: parseUserId, type: parseType },
  body: anyObject,
  bodyLimit: largest,
  integers: 'any',
  async handle(ctx, { params, body, requester }) {
    refuseOthers(params.userId, requester)
    refuseReservedType(params.type)
    await setAccountData(ctx, { userNid: requester.userNid, room: 0, type: params.type }, body)
    return {}
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/user/{userId}/account_data/{type}` (v1.19). */
export const getGlobalAccountData = endpoint({
  method: 'get',
  path: global,
  auth: 'userOrGuest',
  params: { userId: parseUserId, type: parseType },
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    if (params.type === 'm.push_rules') return ctx.pushRules.content(requester)
    const content = await getAccountData(ctx, { userNid: requester.userNid, room: 0, type: params.type })
    if (!content) throw new MatrixError('M_NOT_FOUND', 'No such account data')
    return content
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}` (v1.19). */
export const setAccountDataPerRoom = endpoint({
  method: 'put',
  path: perRoom,
  auth: 'userOrGuest',
  params: { userId: parseUserId, roomId: parseRoomId, type: parseType },
  body: anyObject,
  bodyLimit: largest,
  integers: 'any',
  async handle(ctx, { params, body, requester }) {
    refuseOthers(params.userId, requester)
    refuseReservedType(params.type)
    const room = await roomNumber(ctx, params.roomId)
    await setAccountData(ctx, { userNid: requester.userNid, room, type: params.type }, body)
    return {}
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}` (v1.19). */
export const getAccountDataPerRoom = endpoint({
  method: 'get',
  path: perRoom,
  auth: 'userOrGuest',
  params: { userId: parseUserId, roomId: parseRoomId, type: parseType },
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    const room = await roomNumber(ctx, params.roomId)
    const content = await getAccountData(ctx, { userNid: requester.userNid, room, type: params.type })
    if (!content) throw new MatrixError('M_NOT_FOUND', 'No such account data')
    return content
  },
})

/** Spec: MSC3391, `DELETE /user/{userId}/account_data/{type}`; a PUT of what is empty does the same. */
export const deleteGlobalAccountData = endpoint({
  method: 'delete',
  path: '/_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}',
  auth: 'userOrGuest',
  params: { userId: parseUserId, type: parseType },
  when: (config) => config.experimental.msc3391,
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    refuseReservedType(params.type)
    await deleteAccountData(ctx, { userNid: requester.userNid, room: 0 }, [params.type])
    return {}
  },
})

/** Spec: MSC3391, `DELETE /user/{userId}/rooms/{roomId}/account_data/{type}`. */
export const deleteAccountDataPerRoom = endpoint({
  method: 'delete',
  path: '/_matrix/client/unstable/org.matrix.msc3391/user/{userId}/rooms/{roomId}/account_data/{type}',
  auth: 'userOrGuest',
  params: { userId: parseUserId, roomId: parseRoomId, type: parseType },
  when: (config) => config.experimental.msc3391,
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    refuseReservedType(params.type)
    const room = await roomNumber(ctx, params.roomId)
    await deleteAccountData(ctx, { userNid: requester.userNid, room }, [params.type])
    return {}
  },
})
