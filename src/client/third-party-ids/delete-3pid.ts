import { removeMailAddress } from '../../accounts/mail-addresses.ts'
import { endpoint } from '../../http/endpoint.ts'
import { unbind } from '../../identity-servers/binds.ts'
import { parseMailAddress } from '../../mail/addresses.ts'
import { refuseUnlessChangeable, threepidBody } from './threepid.ts'

/**
 * Takes an address from the user, and from the identity servers where it was bound through us. One that they do not have is gone already.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/account/3pid/delete` (v1.19).
 */
export const delete3pidFromAccount = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/account/3pid/delete', '/_matrix/client/r0/account/3pid/delete'],
  auth: 'user',
  body: threepidBody,
  async handle(ctx, { body, requester }) {
    refuseUnlessChangeable(ctx)
    const address = body.medium === 'email' ? parseMailAddress(body.address) : undefined
    if (address !== undefined) await removeMailAddress(ctx, requester.userNid, address)
    const threepid = { medium: body.medium, address: address ?? body.address }
    return { id_server_unbind_result: await unbind(ctx, requester, threepid, body.id_server) }
  },
})
