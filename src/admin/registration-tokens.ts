import { type Static, Type } from '@sinclair/typebox'
import { endpoint } from '../http/endpoint.ts'
import { MatrixError } from '../matrix/errors.ts'
import {
  deleteRegistrationToken as deleteToken,
  findRegistrationToken,
  insertRegistrationToken,
  listRegistrationTokens as list,
  updateRegistrationToken as updateToken,
} from '../storage/registration-tokens.ts'
import { nullable } from './schemas.ts'

const all = '/_synapse/admin/v1/registration_tokens'
const one = '/_synapse/admin/v1/registration_tokens/{token}'

const settings = {
  uses_allowed: Type.Optional(nullable(Type.Integer({ minimum: 0, maximum: 2_147_483_647 }))),
  expiry_time: Type.Optional(nullable(Type.Integer({ minimum: 0 }))),
}

export const listRegistrationTokens = endpoint({
  method: 'get',
  path: all,
  auth: 'admin',
  query: Type.Object({ valid: Type.Optional(Type.Boolean()) }),
  async handle(ctx, { query }) {
    const rows = await list(ctx.database.db, ctx.clock.now(), query.valid)
    return { registration_tokens: rows.map(tokenAnswer) }
  },
})

const newToken = Type.Object({
  ...settings,
  token: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._~-]{1,64}$' })),
  length: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
})

export const newRegistrationToken = endpoint({
  method: 'post',
  path: '/_synapse/admin/v1/registration_tokens/new',
  auth: 'admin',
  body: newToken,
  async handle(ctx, { body }) {
    refusePast(body, ctx.clock.now())
    const token = body.token ?? ctx.random.token(48).slice(0, body.length ?? 16)
    if (await findRegistrationToken(ctx.database.db, token)) {
      throw new MatrixError('M_INVALID_PARAM', 'There is such a token already')
    }
    await insertRegistrationToken(ctx.database.db, {
      token,
      uses_allowed: body.uses_allowed ?? null,
      expires_at: body.expiry_time ?? null,
    })
    return tokenAnswer((await findRegistrationToken(ctx.database.db, token))!)
  },
})

export const getRegistrationToken = endpoint({
  method: 'get',
  path: one,
  auth: 'admin',
  handle: async (ctx, { params }) => tokenAnswer(await known(findRegistrationToken(ctx.database.db, params.token))),
})

export const updateRegistrationToken = endpoint({
  method: 'put',
  path: one,
  auth: 'admin',
  body: Type.Object(settings),
  async handle(ctx, { params, body }) {
    refusePast(body, ctx.clock.now())
    await known(findRegistrationToken(ctx.database.db, params.token))
    await updateToken(ctx.database.db, params.token, {
      ...(body.uses_allowed !== undefined && { uses_allowed: body.uses_allowed }),
      ...(body.expiry_time !== undefined && { expires_at: body.expiry_time }),
    })
    return tokenAnswer(await known(findRegistrationToken(ctx.database.db, params.token)))
  },
})

export const deleteRegistrationToken = endpoint({
  method: 'delete',
  path: one,
  auth: 'admin',
  async handle(ctx, { params }) {
    if (!(await deleteToken(ctx.database.db, params.token))) throw unknownToken()
    return {}
  },
})

function refusePast({ expiry_time: expiry }: Pick<Static<typeof newToken>, 'expiry_time'>, now: number): void {
  if (typeof expiry === 'number' && expiry <= now) {
    throw new MatrixError('M_INVALID_PARAM', 'expiry_time must not lie in the past')
  }
}

async function known<Row>(row: Promise<Row | undefined>): Promise<Row> {
  const found = await row
  if (found === undefined) throw unknownToken()
  return found
}

function unknownToken(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'No such registration token')
}

function tokenAnswer(row: NonNullable<Awaited<ReturnType<typeof findRegistrationToken>>>) {
  const { token, uses_allowed, pending, completed, expires_at: expiry_time } = row
  return { token, uses_allowed, pending, completed, expiry_time }
}
