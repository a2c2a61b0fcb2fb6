import { Type } from '@sinclair/typebox'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { exchangeInvite, type ProvedInvite, signedInvite } from '../../identity-servers/exchange-invite.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseRoomId, parseUserId, type RoomId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { findAccount } from '../../storage/accounts.ts'

/** Invites that wait for one address. Ours. */
const mostInvites = 100

const userIdText = Type.String({ maxLength: 255 })

/**
 * An identity server tells that a user of ours has proved an address that was invited. Anybody could say so: what counts is the
 * proof in each invite, which the room's own keys tell.
 *
 * Spec: Server-Server API, `PUT /_matrix/federation/v1/3pid/onbind` (v1.19).
 */
export const onBindThirdPartyIdentifier = endpoint({
  method: 'put',
  path: '/_matrix/federation/v1/3pid/onbind',
  auth: 'none',
  when: (config) => config.mail.identity_servers.length > 0,
  rateLimit: { kind: 'third_party_binds', by: 'address' },
  body: Type.Object({
    mxid: userIdText,
    invites: Type.Array(
      Type.Object({ room_id: Type.String({ maxLength: 255 }), sender: userIdText, signed: Type.Object({}) }),
      { maxItems: mostInvites },
    ),
  }),
  async handle(ctx, { body }) {
    const target = parseUserId(body.mxid)
    const isOurs = target !== undefined && ctx.domains.isLocal(serverNameOf(target))
    const account = isOurs ? await findAccount(ctx.database.db, target) : undefined
    if (!target || !account || account.deactivated_at !== null) throw new MatrixError('M_NOT_FOUND', 'User not found')
    for (const invite of body.invites) await take(ctx, target, invite as JsonObject)
    return {}
  },
})

async function take(ctx: Context, target: UserId, invite: JsonObject): Promise<void> {
  const roomId = parseRoomId(invite.room_id as string)
  const sender = parseUserId(invite.sender as string)
  const signed = signedInvite(invite.signed)
  // Only servers that our users may be known at sign anything for us.
  const isTrusted = signed && Object.keys(signed.signatures).some((name) => ctx.identityServers.find(name))
  if (!roomId || !sender || !isTrusted || signed.mxid !== target) return
  const proved: ProvedInvite = { sender, target, signed }
  try {
    if (ctx.domains.isLocal(serverNameOf(sender))) await exchangeInvite(ctx, roomId as RoomId, proved)
    else await ctx.remoteServers.current.exchangeInvite(roomId as RoomId, proved)
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    ctx.log.info({ roomId, errcode: error.errcode }, 'An invite by address was not exchanged')
  }
}
