import { Type } from '@sinclair/typebox'
import { changeTags, getTags } from '../../account-data/account-data.ts'
import { endpoint } from '../../http/endpoint.ts'
import { parseRoomId, parseUserId } from '../../matrix/ids.ts'
import type { Json } from '../../matrix/json.ts'
import { parseType } from '../rooms/schemas.ts'
import { refuseOthers } from './own-data.ts'

const one = [
  '/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}',
  '/_matrix/client/r0/user/{userId}/rooms/{roomId}/tags/{tag}',
] as const

const params = { userId: parseUserId, roomId: parseRoomId, tag: parseTag }

/** Spec: Client-Server API, "Room Tagging": a tag is at most 255 bytes. */
function parseTag(text: string): string | undefined {
  return Buffer.byteLength(text) <= 255 ? parseType(text) : undefined
}

/** Spec: Client-Server API, `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags` (v1.19). */
export const getRoomTags = endpoint({
  method: 'get',
  path: [
    '/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags',
    '/_matrix/client/r0/user/{userId}/rooms/{roomId}/tags',
  ],
  auth: 'userOrGuest',
  params: { userId: parseUserId, roomId: parseRoomId },
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    return { tags: Object.fromEntries(await getTags(ctx, requester.userNid, params.roomId)) }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}` (v1.19). */
export const setRoomTag = endpoint({
  method: 'put',
  path: one,
  auth: 'userOrGuest',
  params,
  body: Type.Object({ order: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })) }),
  integers: 'any',
  async handle(ctx, { params, body, requester }) {
    refuseOthers(params.userId, requester)
    await changeTags(ctx, requester.userNid, params.roomId, (tags) => tags.set(params.tag, body as Json))
    return {}
  },
})

/** Spec: Client-Server API, `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}` (v1.19). */
export const deleteRoomTag = endpoint({
  method: 'delete',
  path: one,
  auth: 'userOrGuest',
  params,
  async handle(ctx, { params, requester }) {
    refuseOthers(params.userId, requester)
    await changeTags(ctx, requester.userNid, params.roomId, (tags) => tags.delete(params.tag))
    return {}
  },
})
