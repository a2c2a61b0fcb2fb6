import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { rawJson } from '../../http/response.ts'
import { parseRoomId } from '../../matrix/ids.ts'
import { readMembers } from '../../rooms/read-members.ts'
import { parseTimelineToken } from '../../sync/token.ts'

const membership = Type.Optional(
  Type.Union([
    Type.Literal('join'),
    Type.Literal('invite'),
    Type.Literal('knock'),
    Type.Literal('leave'),
    Type.Literal('ban'),
  ]),
)

/** Spec: Client-Server API, `GET /_matrix/client/v3/rooms/{roomId}/members` (v1.19). */
export const getMembersByRoom = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/rooms/{roomId}/members', '/_matrix/client/r0/rooms/{roomId}/members'],
  auth: 'userOrGuest',
  params: { roomId: parseRoomId },
  query: Type.Object({ at: Type.Optional(Type.String()), membership, not_membership: membership }),
  async handle(ctx, { params, query, requester }) {
    const events = await readMembers(ctx, params.roomId, requester, {
      ...(query.at !== undefined && { at: parseTimelineToken(query.at) }),
      ...(query.membership !== undefined && { membership: query.membership }),
      ...(query.not_membership !== undefined && { notMembership: query.not_membership }),
    })
    return rawJson([`{"chunk":[${events.join(',')}]}`])
  },
})
