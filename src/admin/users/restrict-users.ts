import { Type } from '@sinclair/typebox'
import { changePassword } from '../../accounts/change-password.ts'
import { deactivateAccount } from '../../accounts/deactivate-account.ts'
import { restrictAccount } from '../../accounts/restrict-account.ts'
import { endpoint } from '../../http/endpoint.ts'
import { unbindAll } from '../../identity-servers/binds.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { parseUserId } from '../../matrix/ids.ts'
import { markErased } from '../../storage/admin-users.ts'
import { localAccount } from '../local-account.ts'

const params = { userId: parseUserId }

/** Ends an account for good, with `erase` so that what its user wrote is forgotten where that can be. */
export const deactivateUser = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/deactivate/{userId}',
  auth: 'admin',
  params,
  body: Type.Object({ erase: Type.Optional(Type.Boolean()) }),
  async handle(ctx, { params, body, requester }) {
    if (params.userId === requester.userId) {
      throw new MatrixError('M_FORBIDDEN', 'Administrators cannot do this to themselves')
    }
    const account = await localAccount(ctx, params.userId)
    if (body.erase === true && account.deactivated_at !== null) await markErased(ctx.database.db, account.userNid)
    const result = await unbindAll(ctx, account)
    await deactivateAccount(ctx, account, { erase: body.erase === true })
    return { id_server_unbind_result: result }
  },
})

export const resetPassword = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/reset_password/{userId}',
  auth: 'admin',
  params,
  body: Type.Object({
    new_password: Type.String({ minLength: 1, maxLength: 512 }),
    logout_devices: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { params, body }) {
    const account = await localAccount(ctx, params.userId)
    const logOutOthers = body.logout_devices !== false
    await changePassword(ctx, account, body.new_password, { logOutOthers, keepDevice: undefined })
    return {}
  },
})

export const suspendUser = endpoint({
  method: 'put',
  path: '/_synapse/admin/v1/suspend/{userId}',
  auth: 'admin',
  params,
  body: Type.Object({ suspend: Type.Boolean() }),
  async handle(ctx, { params, body, requester }) {
    if (params.userId === requester.userId) {
      throw new MatrixError('M_FORBIDDEN', 'Administrators cannot do this to themselves')
    }
    await restrictAccount(ctx, await localAccount(ctx, params.userId), { suspended: body.suspend })
    return { [`user_${params.userId}_suspended`]: body.suspend }
  },
})

const adminPath = '/_synapse/admin/v1/users/{userId}/admin'

export const isUserAdmin = endpoint({
  method: 'get',
  path: adminPath,
  auth: 'admin',
  params,
  handle: async (ctx, { params }) => ({ admin: (await localAccount(ctx, params.userId)).is_admin }),
})

export const setUserAdmin = endpoint({
  method: 'put',
  path: adminPath,
  auth: 'admin',
  params,
  body: Type.Object({ admin: Type.Boolean() }),
  async handle(ctx, { params, body, requester }) {
    if (params.userId === requester.userId && !body.admin) {
      throw new MatrixError('M_FORBIDDEN', 'Administrators cannot do this to themselves')
    }
    await restrictAccount(ctx, await localAccount(ctx, params.userId), { isAdmin: body.admin })
    return {}
  },
})

/** Nobody is left to believe that what they send is read: who shall not be is locked or suspended, and knows it. */
function refuseShadowBan(): never {
  throw new MatrixError('M_UNRECOGNIZED', 'Nobody is banned without knowing it here; lock or suspend the account', {
    status: 400,
  })
}
const shadowBanPath = '/_synapse/admin/v1/users/{userId}/shadow_ban'
export const shadowBan = endpoint({
  method: 'post',
  path: shadowBanPath,
  auth: 'admin',
  params,
  handle: refuseShadowBan,
})
export const endShadowBan = endpoint({
  method: 'delete',
  path: shadowBanPath,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    await localAccount(ctx, params.userId)
    return {}
  },
})
