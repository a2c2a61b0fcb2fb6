import { Type } from '@sinclair/typebox'
import { resolveOrAsk } from '../../application-services/query-services.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomAlias, parseRoomId } from '../../matrix/ids.ts'
import { aliasesOf, createAlias, isPublished, removeAlias, setPublished } from '../../rooms/room-directory.ts'

const alias = [
  '/_matrix/client/v3/directory/room/{roomAlias}',
  '/_matrix/client/r0/directory/room/{roomAlias}',
] as const
const list = [
  '/_matrix/client/v3/directory/list/room/{roomId}',
  '/_matrix/client/r0/directory/list/room/{roomId}',
] as const

/** Spec: Client-Server API, `GET /_matrix/client/v3/directory/room/{roomAlias}` (v1.19). */
export const getRoomIdByAlias = endpoint({
  method: 'get',
  path: alias,
  auth: 'none',
  params: { roomAlias: parseRoomAlias },
  async handle(ctx, { params }) {
    const { roomId, servers } = await resolveOrAsk(ctx, params.roomAlias)
    return { room_id: roomId, servers }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/directory/room/{roomAlias}` (v1.19). */
export const setRoomAlias = endpoint({
  method: 'put',
  path: alias,
  auth: 'user',
  params: { roomAlias: parseRoomAlias },
  body: Type.Object({ room_id: Type.String() }),
  async handle(ctx, { params, body, requester }) {
    const roomId = parseRoomId(body.room_id)
    if (!roomId) throw new MatrixError('M_INVALID_PARAM', 'room_id: expected a room id')
    ctx.applicationServices.checkAlias(params.roomAlias, requester.service)
    await createAlias(ctx, requester, params.roomAlias, roomId)
    return {}
  },
})

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/directory/room/{roomAlias}` (v1.19). */
export const deleteRoomAlias = endpoint({
  method: 'delete',
  path: alias,
  auth: 'user',
  params: { roomAlias: parseRoomAlias },
  async handle(ctx, { params, requester }) {
    ctx.applicationServices.checkAlias(params.roomAlias, requester.service)
    await removeAlias(ctx, requester, params.roomAlias)
    return {}
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/aliases` (v1.19). */
export const getLocalAliases = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/aliases', '/_matrix/client/r0/rooms/{roomId}/aliases'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  async handle(ctx, { params, requester }) {
    return { aliases: await aliasesOf(ctx, requester, params.roomId) }
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v3/directory/list/room/{roomId}` (v1.19). */
export const getRoomVisibilityOnDirectory = endpoint({
  method: 'get',
  path: list,
  auth: 'none',
  params: { roomId: parseRoomId },
  async handle(ctx, { params, domain }) {
    return { visibility: (await isPublished(ctx, params.roomId, domain)) ? 'public' : 'private' }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/directory/list/room/{roomId}` (v1.19). */
export const setRoomVisibilityOnDirectory = endpoint({
  method: 'put',
  path: list,
  auth: 'user',
  params: { roomId: parseRoomId },
  body: Type.Object({ visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])) }),
  async handle(ctx, { params, body, requester }) {
    await setPublished(ctx, requester, params.roomId, body.visibility !== 'private')
    return {}
  },
})
