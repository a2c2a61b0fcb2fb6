import type { Endpoint } from '../../src/http/endpoint.ts'
import { exchangeInvite, signedInvite } from '../../src/identity-servers/exchange-invite.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseRoomId, parseUserId, type RoomId, serverNameOf } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { Federation } from '../federation.ts'
import { refuseByAcl } from '../server-acl.ts'
import { federationEndpoint } from './federation-endpoint.ts'

/**
 * Another server's user has proved an address that a user of ours invited. Of what it sends only the proof is used: the invite
 * that is signed is our own.
 *
 * Spec: Server-Server API, `PUT /exchange_third_party_invite/{roomId}` (v1.19).
 */
export function exchangeThirdPartyInvite(federation: Federation): Endpoint {
  const { ctx } = federation
  return federationEndpoint(federation, {
    method: 'put',
    path: '/_matrix/federation/v1/exchange_third_party_invite/{roomId}',
    params: { roomId: parseRoomId },
    async handle({ origin, params, body }) {
      const content = objectOf(body.content)
      const sender = typeof body.sender === 'string' ? parseUserId(body.sender) : undefined
      const target = typeof body.state_key === 'string' ? parseUserId(body.state_key) : undefined
      const signed = signedInvite(objectOf(content.third_party_invite).signed)
      const isInvite =
        body.type === 'm.room.member' &&
        content.membership === 'invite' &&
        // Some servers leave it out.
        (body.room_id === undefined || body.room_id === params.roomId) &&
        target !== undefined &&
        serverNameOf(target) === origin
      if (!isInvite || !sender || !signed) {
        throw new MatrixError('M_INVALID_PARAM', 'This is no invite of one of your users by address')
      }
      const roomId = params.roomId as RoomId
      const room = await ctx.hotRooms.get(roomId)
      if (room) refuseByAcl(room, origin)
      await exchangeInvite(ctx, roomId, { sender, target, signed })
      return {}
    },
  })
}

function objectOf(json: Json | undefined): JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : {}
}
