import { Type } from '@sinclair/typebox'
import { askForUser } from '../../application-services/query-services.ts'
import { endpoint } from '../../http/endpoint.ts'
import { inviteByAddress } from '../../identity-servers/invite-by-address.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, type UserId } from '../../matrix/ids.ts'
import { inviteUser as invite } from '../../rooms/invite-user.ts'
import { reason, userIdText } from '../rooms/schemas.ts'
import { addressInvite, addressInviteOf } from './address-invite.ts'
import { countInvite } from './within-limits.ts'

/** Spec: Client-Server API, `POST /_matrix/client/v3/rooms/{roomId}/invite`, by user id and by third-party id (v1.19). */
export const inviteUser = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/rooms/{roomId}/invite', '/_matrix/client/r0/rooms/{roomId}/invite'],
  auth: 'user',
  params: { roomId: parseRoomId },
  rateLimit: { kind: 'invite_issuer', by: 'user' },
  body: Type.Object({
    user_id: Type.Optional(userIdText),
    reason,
    ...addressInvite.properties,
  }),
  async handle(ctx, { params, body, requester }) {
    if (body.user_id === undefined) {
      if (body.medium === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: user_id')
      await ctx.rateLimits.take('third_party_invite', requester.userId)
      await inviteByAddress(ctx, params.roomId, addressInviteOf(body, requester.userId))
      return {}
    }
    await countInvite(ctx, requester, params.roomId, body.user_id)
    await askForUser(ctx, body.user_id as UserId)
    await invite(ctx, params.roomId, {
      sender: requester.userId,
      target: body.user_id as UserId,
      ...(body.reason !== undefined && { reason: body.reason }),
    })
    return {}
  },
})
