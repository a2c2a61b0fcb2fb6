import { Type } from '@sinclair/typebox'
import type { Requester } from '../../accounts/requesters.ts'
import { restrictAccount } from '../../accounts/restrict-account.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { type AccountRow, findAccount } from '../../storage/accounts.ts'

const suspend = '/_matrix/client/v1/admin/suspend/{userId}'
const lock = '/_matrix/client/v1/admin/lock/{userId}'
const params = { userId: parseUserId }

/** Spec: Client-Server API, `GET /_matrix/client/v1/admin/suspend/{userId}` (v1.19). */
export const getAdminSuspendUser = endpoint({
  method: 'get',
  path: suspend,
  auth: 'admin',
  params,
  async handle(ctx, { params, requester }) {
    return { suspended: (await accountOf(ctx, requester, params.userId)).suspended }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v1/admin/suspend/{userId}` (v1.19). */
export const setAdminSuspendUser = endpoint({
  method: 'put',
  path: suspend,
  auth: 'admin',
  params,
  body: Type.Object({ suspended: Type.Boolean() }),
  async handle(ctx, { params, body, requester }) {
    const account = await accountOf(ctx, requester, params.userId, 'to change')
    await restrictAccount(ctx, { userId: params.userId, userNid: account.user_nid }, { suspended: body.suspended })
    return { suspended: body.suspended }
  },
})

/** Spec: Client-Server API, `GET /_matrix/client/v1/admin/lock/{userId}` (v1.19). */
export const getAdminLockUser = endpoint({
  method: 'get',
  path: lock,
  auth: 'admin',
  params,
  async handle(ctx, { params, requester }) {
    return { locked: (await accountOf(ctx, requester, params.userId)).locked }
  },
})

/** Spec: Client-Server API, `PUT /_matrix/client/v1/admin/lock/{userId}` (v1.19). */
export const setAdminLockUser = endpoint({
  method: 'put',
  path: lock,
  auth: 'admin',
  params,
  body: Type.Object({ locked: Type.Boolean() }),
  async handle(ctx, { params, body, requester }) {
    const account = await accountOf(ctx, requester, params.userId, 'to change')
    await restrictAccount(ctx, { userId: params.userId, userNid: account.user_nid }, { locked: body.locked })
    return { locked: body.locked }
  },
})

/** @throws MatrixError M_INVALID_PARAM, M_NOT_FOUND; M_FORBIDDEN for other administrators, and to change oneself. */
async function accountOf(
  ctx: Pick<Context, 'database' | 'domains'>,
  requester: Requester,
  userId: UserId,
  purpose: 'to read' | 'to change' = 'to read',
): Promise<AccountRow> {
  if (!ctx.domains.isLocal(serverNameOf(userId))) {
    throw new MatrixError('M_INVALID_PARAM', 'The user belongs to another server')
  }
  const isOneself = userId === requester.userId
  if (isOneself && purpose === 'to change') throw new MatrixError('M_FORBIDDEN', 'This is your own account')
  const account = await findAccount(ctx.database.db, userId)
  if (!account || account.deactivated_at !== null) throw new MatrixError('M_NOT_FOUND', 'User not found')
  if (account.is_admin && !isOneself) throw new MatrixError('M_FORBIDDEN', 'The user is an administrator too')
  return account
}
