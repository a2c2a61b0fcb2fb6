import { Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { listUsers as list, userOrders } from '../../storage/admin-users.ts'
import { dir, from, limit, nextToken, text } from '../schemas.ts'
import { listedUserAnswer } from './user-answer.ts'

const query = {
  from,
  limit,
  dir,
  order_by: Type.Optional(Type.String()),
  user_id: Type.Optional(text),
  name: Type.Optional(text),
  guests: Type.Optional(Type.Boolean()),
  admins: Type.Optional(Type.Boolean()),
  deactivated: Type.Optional(Type.Boolean()),
  locked: Type.Optional(Type.Boolean()),
  not_user_type: Type.Optional(Type.Array(text, { maxItems: 100 })),
}

/** All accounts. In v2 `deactivated` and `locked` let such accounts in, in v3 `deactivated` asks for them alone. */
export const listUsers = endpoint({
  method: 'get',
  path: ['/_synapse/admin/v2/users', '/_synapse/admin/v3/users'],
  auth: 'admin',
  query: Type.Object(query),
  async handle(ctx, { query, request }) {
    const { from = 0, limit = 100, order_by: order = 'name' } = query
    if (!isOrder(order)) throw new MatrixError('M_INVALID_PARAM', `Users cannot be ordered by ${order}`)
    const isV3 = request.path.startsWith('/_synapse/admin/v3')
    const { users, total } = await list(
      ctx.database.db,
      {
        userId: query.user_id,
        name: query.name,
        guests: query.guests ?? true,
        admins: query.admins,
        deactivated: isV3 ? query.deactivated : query.deactivated === true ? undefined : false,
        locked: query.locked === true ? undefined : false,
        notUserTypes: query.not_user_type ?? [],
      },
      { from, limit, order, backwards: query.dir === 'b' },
    )
    return { users: users.map(listedUserAnswer), total, ...nextToken(from, users.length, total) }
  },
})

function isOrder(text: string): text is keyof typeof userOrders {
  return Object.hasOwn(userOrders, text)
}
