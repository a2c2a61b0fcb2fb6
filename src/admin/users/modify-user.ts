import { type Static, Type } from '@sinclair/typebox'
import { changePassword } from '../../accounts/change-password.ts'
import { createAccount, newUserId } from '../../accounts/create-account.ts'
import { deactivateAccount } from '../../accounts/deactivate-account.ts'
import { addMailAddress, removeMailAddress } from '../../accounts/mail-addresses.ts'
import { checkPasswordPolicy } from '../../accounts/passwords.ts'
import { restrictAccount } from '../../accounts/restrict-account.ts'
import type { Context } from '../../context.ts'
import { endpoint } from '../../http/endpoint.ts'
import { reply } from '../../http/response.ts'
import { parseMailAddress } from '../../mail/addresses.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { localpartOf, parseUserId, serverNameOf, type UserId } from '../../matrix/ids.ts'
import { setProfileField } from '../../profiles/set-profile.ts'
import { type AccountRow, findAccount } from '../../storage/accounts.ts'
import { listedUser, reactivate, replaceExternalIds, updateUserType } from '../../storage/admin-users.ts'
import { threepidsOf } from '../../storage/threepids.ts'
import { localAccount } from '../local-account.ts'
import { nullable, text } from '../schemas.ts'
import { userAnswer } from './user-answer.ts'

const path = '/_synapse/admin/v2/users/{userId}'
const params = { userId: parseUserId }

export const getUser = endpoint({
  method: 'get',
  path,
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    await localAccount(ctx, params.userId)
    return answerFor(ctx, params.userId)
  },
})

const body = Type.Object({
  password: Type.Optional(nullable(Type.String({ minLength: 1, maxLength: 512 }))),
  logout_devices: Type.Optional(Type.Boolean()),
  displayname: Type.Optional(nullable(Type.String({ maxLength: 256 }))),
  avatar_url: Type.Optional(nullable(Type.String({ maxLength: 1000 }))),
  threepids: Type.Optional(Type.Array(Type.Object({ medium: text, address: text }), { maxItems: 100 })),
  external_ids: Type.Optional(Type.Array(Type.Object({ auth_provider: text, external_id: text }), { maxItems: 100 })),
  admin: Type.Optional(Type.Boolean()),
  deactivated: Type.Optional(Type.Boolean()),
  locked: Type.Optional(Type.Boolean()),
  suspended: Type.Optional(Type.Boolean()),
  user_type: Type.Optional(Type.Union([Type.Literal('bot'), Type.Literal('support'), Type.Null()])),
})

type Wish = Static<typeof body>

/** Creates a user (201), or changes what the body names (200). */
export const modifyUser = endpoint({
  method: 'put',
  path,
  auth: 'admin',
  params,
  body,
  async handle(ctx, { params, body, requester }) {
    if (typeof body.password === 'string') checkPasswordPolicy(ctx.config, body.password)
    const before = await findAccount(ctx.database.db, params.userId)
    if (before === undefined) {
      await create(ctx, params.userId, body)
    } else if (before.user_id === requester.userId && isSelfHarm(body)) {
      throw new MatrixError('M_FORBIDDEN', 'Administrators cannot do this to themselves')
    }
    const account = await localAccount(ctx, params.userId)
    await change(ctx, account, body, before === undefined)
    return reply(await answerFor(ctx, params.userId), { status: before === undefined ? 201 : 200 })
  },
})

function isSelfHarm(wish: Wish): boolean {
  return wish.admin === false || wish.deactivated === true || wish.locked === true || wish.suspended === true
}

async function create(ctx: Context, userId: UserId, wish: Wish): Promise<void> {
  newUserId(ctx, localpartOf(userId), serverNameOf(userId))
  await createAccount(ctx, {
    userId,
    isAdmin: wish.admin === true,
    ...(typeof wish.password === 'string' && { password: wish.password }),
    ...(typeof wish.displayname === 'string' && { displayName: wish.displayname }),
  })
}

async function change(
  ctx: Context,
  account: AccountRow & { userId: UserId; userNid: number },
  wish: Wish,
  isNew: boolean,
): Promise<void> {
  const { db } = ctx.database
  if (wish.deactivated === false && account.deactivated_at !== null) {
    if (ctx.config.passwords.enabled && typeof wish.password !== 'string') {
      throw new MatrixError('M_MISSING_PARAM', 'An account that is made usable again needs a password')
    }
    await reactivate(db, account.userNid)
    ctx.invalidations.publish('user', account.userId)
  }
  if (typeof wish.password === 'string' && !isNew) {
    const logOutOthers = wish.logout_devices !== false
    await changePassword(ctx, account, wish.password, { logOutOthers, keepDevice: undefined })
  }
  for (const key of ['displayname', 'avatar_url'] as const) {
    const value = wish[key]
    if (value !== undefined)
      await setProfileField(ctx, account, key, value === null || value === '' ? undefined : value)
  }
  if (wish.user_type !== undefined) await updateUserType(db, account.userNid, wish.user_type)
  if (wish.threepids !== undefined) await replaceThreepids(ctx, account.userNid, wish.threepids)
  if (wish.external_ids !== undefined) await replaceIds(ctx, account.userNid, wish.external_ids)
  const { admin, locked, suspended } = wish
  if (admin !== undefined || locked !== undefined || suspended !== undefined) {
    await restrictAccount(ctx, account, {
      ...(admin !== undefined && { isAdmin: admin }),
      ...(locked !== undefined && { locked }),
      ...(suspended !== undefined && { suspended }),
    })
  }
  if (wish.deactivated === true && account.deactivated_at === null) {
    await deactivateAccount(ctx, account, { erase: false })
  }
}

async function replaceThreepids(ctx: Context, userNid: number, wanted: NonNullable<Wish['threepids']>): Promise<void> {
  const { db } = ctx.database
  if (wanted.some(({ medium }) => medium !== 'email')) {
    throw new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', 'Only mail addresses are kept')
  }
  const list = wanted.map(({ address }) => parseMailAddress(address))
  if (!list.every((address) => address !== undefined)) {
    throw new MatrixError('M_INVALID_PARAM', 'threepids: one is not a mail address')
  }
  for (const { address } of await threepidsOf(db, userNid)) {
    if (!list.includes(address)) await removeMailAddress(ctx, userNid, address)
  }
  const now = ctx.clock.now()
  for (const address of list) await addMailAddress(db, { userNid, address, validated_at: now, now })
}

const uniqueViolation = '23505'

async function replaceIds(ctx: Context, userNid: number, ids: NonNullable<Wish['external_ids']>): Promise<void> {
  try {
    await replaceExternalIds(ctx.database.db, userNid, ids)
  } catch (error) {
    if ((error as { code?: string }).code !== uniqueViolation) throw error
    throw new MatrixError('M_UNKNOWN', 'An external id is given twice, or is another user’s', { status: 409 })
  }
}

async function answerFor(ctx: Context, userId: UserId) {
  const [user] = await ctx.database.read(listedUser, [userId])
  return userAnswer(ctx, user!)
}
