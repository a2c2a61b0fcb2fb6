import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { isValidNewLocalpart, localpartOf, parseUserId, type UserId } from '../matrix/ids.ts'
import { endGuesthood, findAccount, insertAccount, insertProfile } from '../storage/accounts.ts'
import type { ProvedAddress } from '../storage/mail-validations.ts'
import { useRegistrationToken } from '../storage/registration-tokens.ts'
import { addMailAddress } from './mail-addresses.ts'
import { hashPassword } from './passwords.ts'

export type NewAccount = {
  readonly userId: UserId
  /** Already held to the policy, where it applies. */
  readonly password?: string
  /** The localpart, unless given. */
  readonly displayName?: string
  readonly isAdmin?: boolean
  readonly isGuest?: boolean
  /** The account is that of a guest so far, with everything there is of it. */
  readonly wasGuest?: boolean
  /** The version of the terms the user agreed to. */
  readonly termsVersion?: string
  /** The registration token to use up; `held` when a session kept a use of it. */
  readonly registrationToken?: { readonly token: string; readonly held: boolean } | undefined
  /** A mail address that was proved. */
  readonly mail?: ProvedAddress | undefined
}

type Dependencies = Pick<
  Context,
  'config' | 'database' | 'dictionaries' | 'clock' | 'random' | 'domains' | 'invalidations'
>

/**
 * Creates an account. Of several at once with one name, or with the last use of a registration token, one succeeds.
 *
 * @throws MatrixError M_USER_IN_USE, M_INVALID_USERNAME, M_FORBIDDEN for a token without uses, M_THREEPID_IN_USE
 */
export async function createAccount(ctx: Dependencies, account: NewAccount): Promise<{ userNid: number }> {
  const { userId, password, registrationToken } = account
  checkNewUserId(ctx, userId)
  const passwordHash = password === undefined ? null : await hashPassword(ctx, password)
  const userNid = (await ctx.dictionaries.internUsers([userId])).get(userId)!
  const now = ctx.clock.now()
  await ctx.database.db.transaction().execute(async (tx) => {
    const entry = { user_nid: userNid, password_hash: passwordHash, terms_version: account.termsVersion ?? null }
    const isNew =
      account.wasGuest === true
        ? await endGuesthood(tx, entry)
        : await insertAccount(tx, {
            ...entry,
            is_admin: account.isAdmin === true,
            is_guest: account.isGuest === true,
            created_at: now,
            deactivated_at: null,
          })
    if (!isNew) throw new MatrixError('M_USER_IN_USE', 'This user name is taken')
    if (account.isGuest !== true)
      await insertProfile(tx, userNid, { displayname: account.displayName ?? localpartOf(userId) })
    if (account.mail) await addMailAddress(tx, { userNid, ...account.mail, now })
    if (registrationToken === undefined) return
    const { token, held } = registrationToken
    if (!(await useRegistrationToken(tx, token, held, now))) {
      throw new MatrixError('M_FORBIDDEN', 'The registration token is not valid')
    }
  })
  if (account.wasGuest === true) ctx.invalidations.publish('user', userId)
  return { userNid }
}

/** Makes accounts without a password for those users who have none yet. */
export async function createMissingAccounts(ctx: Dependencies, userIds: readonly UserId[]): Promise<void> {
  for (const userId of userIds) {
    if (await findAccount(ctx.database.db, userId)) continue
    await createAccount(ctx, { userId }).catch((error: unknown) => {
      // Another process was faster.
      if (!(error instanceof MatrixError) || error.errcode !== 'M_USER_IN_USE') throw error
    })
  }
}

/**
 * The id a new user would have.
 *
 * @throws MatrixError M_INVALID_USERNAME
 */
export function newUserId(ctx: Pick<Context, 'domains'>, username: string, domain: string): UserId {
  const localpart = username.toLowerCase()
  const userId = parseUserId(`@${localpart}:${domain}`)
  if (userId === undefined) throw new MatrixError('M_INVALID_USERNAME', 'This user name is not valid')
  checkNewUserId(ctx, userId)
  return userId
}

/** @throws MatrixError M_USER_IN_USE, also for the name of a deactivated account. */
export async function checkUserIdFree(ctx: Pick<Context, 'database'>, userId: UserId): Promise<void> {
  if ((await findAccount(ctx.database.db, userId)) !== undefined) {
    throw new MatrixError('M_USER_IN_USE', 'This user name is taken')
  }
}

/** A localpart for a user who did not choose one: digits, which nobody may choose. */
export async function unusedNumericUserId(
  ctx: Pick<Context, 'database' | 'random'>,
  domain: string,
  prefix = '',
): Promise<UserId> {
  for (;;) {
    const userId: UserId = `@${prefix}${ctx.random.bytes(6).readUIntBE(0, 6)}:${domain}`
    if ((await findAccount(ctx.database.db, userId)) === undefined) return userId
  }
}

function checkNewUserId(ctx: Pick<Context, 'domains'>, userId: UserId): void {
  const domain = userId.slice(userId.indexOf(':') + 1)
  if (!ctx.domains.isLocal(domain)) {
    throw new MatrixError('M_INVALID_USERNAME', `${domain} is not a domain of this server`)
  }
  if (!isValidNewLocalpart(localpartOf(userId))) {
    throw new MatrixError('M_INVALID_USERNAME', 'A user name may contain a-z, 0-9 and the characters . _ = - / +')
  }
}
