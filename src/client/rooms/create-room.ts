import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { checkAddressInvite, inviteByAddress } from '../../identity-servers/invite-by-address.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { RoomAlias } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { createRoomAsAsked } from '../../rooms/create-room-as-asked.ts'
import { addressInvite, addressInviteOf } from '../membership/address-invite.ts'
import { countInvitesOfNewRoom } from '../membership/within-limits.ts'
import { text255 } from './schemas.ts'

const json = Type.Unsafe<JsonObject>(Type.Object({}))

/** Spec: Client-Server API, `POST /_matrix/client/v3/createRoom` (v1.19). */
export const createRoom = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/createRoom', '/_matrix/client/r0/createRoom'],
  auth: 'user',
  rateLimit: { kind: 'room_creation', by: 'user' },
  body: Type.Object({
    visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])),
    room_alias_name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    name: Type.Optional(Type.String()),
    topic: Type.Optional(Type.String()),
    invite: Type.Optional(Type.Array(Type.String())),
    invite_3pid: Type.Optional(Type.Array(addressInvite)),
    room_version: Type.Optional(Type.String()),
    creation_content: Type.Optional(json),
    initial_state: Type.Optional(
      Type.Array(Type.Object({ type: text255, state_key: Type.Optional(text255), content: json })),
    ),
    preset: Type.Optional(
      Type.Union([Type.Literal('private_chat'), Type.Literal('public_chat'), Type.Literal('trusted_private_chat')]),
    ),
    is_direct: Type.Optional(Type.Boolean()),
    power_level_content_override: Type.Optional(json),
  }),
  async handle(ctx, { body, requester }) {
    const alias = body.room_alias_name === undefined ? undefined : `#${body.room_alias_name}:${requester.domain}`
    if (alias !== undefined) ctx.applicationServices.checkAlias(alias as RoomAlias, requester.service)
    const invites = (body.invite_3pid ?? []).map((one) => addressInviteOf(one, requester.userId))
    if (invites.length > ctx.config.rooms.invite_limit_per_creation) {
      throw new MatrixError('M_INVALID_PARAM', 'Too many addresses to invite at once')
    }
    for (const invite of invites) {
      checkAddressInvite(ctx, invite)
      await ctx.rateLimits.take('third_party_invite', requester.userId)
    }
    await countInvitesOfNewRoom(ctx, requester, body.invite ?? [])
    const roomId = await createRoomAsAsked(ctx, requester, body)
    for (const invite of invites) await inviteByAddress(ctx, roomId, invite)
    return { room_id: roomId }
  },
})
