import { connectionsOf } from '../../devices/connections.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { findAccount } from '../../storage/accounts.ts'

/**
 * For administrators, and for users about themselves.
 *
 * Spec: Client-Server API, `GET /_matrix/client/v3/admin/whois/{userId}` (v1.19).
 */
export const getWhoIs = endpoint({
  method: 'get',
  path: ['/_matrix/client/v3/admin/whois/{userId}', '/_matrix/client/r0/admin/whois/{userId}'],
  auth: 'user',
  params: { userId: parseUserId },
  async handle(ctx, { params, requester }) {
    if (params.userId !== requester.userId && !requester.isAdmin) {
      throw new MatrixError('M_FORBIDDEN', 'You are not a server administrator')
    }
    const account = await findAccount(ctx.database.db, params.userId)
    if (!account) throw new MatrixError('M_NOT_FOUND', 'User not found')
    const devices: { [deviceId: string]: unknown } = Object.create(null)
    for (const [deviceId, connection] of await connectionsOf(ctx, account.user_nid)) {
      devices[deviceId] = { sessions: [{ connections: connection === undefined ? [] : [connection] }] }
    }
    return { user_id: params.userId, devices }
  },
})
