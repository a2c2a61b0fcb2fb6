import { createHash } from 'node:crypto'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { Db } from '../storage/database.ts'
import {
  beginValidation,
  confirmValidation,
  deleteOldValidations,
  type MailPurpose,
  type ProvedAddress,
  provedAddress,
  takeProof,
  validationByToken,
} from '../storage/mail-validations.ts'
import { userOfThreepid } from '../storage/threepids.ts'
import { parseMailAddress } from './addresses.ts'
import type { Language } from './languages.ts'
import type { Mail } from './mail.ts'

type Engine = Pick<Context, 'config' | 'database' | 'clock' | 'random' | 'domains' | 'rateLimits' | 'mail'>

/** Where the links in mails lead. */
export const submitTokenPath = '/_matrix/client/unstable/chappe/email/submit_token'

/** What a client asks for. */
export type ValidationWish = {
  readonly purpose: MailPurpose
  readonly email: string
  readonly clientSecret: string
  readonly sendAttempt: number
  readonly nextLink: string | undefined
  readonly language: Language
  readonly domain: ServerName
}

/** Milliseconds after which nothing is known of a session any more. */
const forgottenAfter = 24 * 3_600_000

/** @throws MatrixError M_THREEPID_MEDIUM_NOT_SUPPORTED where no mail is sent. */
export function mailOf(ctx: Pick<Context, 'mail'>): Mail {
  if (ctx.mail) return ctx.mail
  throw new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', 'This server sends no mail')
}

/**
 * Sends a link with which somebody proves that they read the mail of an address. A request with an attempt that was made
 * before sends nothing.
 *
 * Where `mail.hide_existence` is on, the answer and the time it takes are the same whether or not the address is of a user:
 * the owner is told by mail of what somebody wants.
 *
 * Spec: Client-Server API, `POST …/email/requestToken` (v1.19).
 *
 * @returns the id of the session.
 * @throws MatrixError M_INVALID_PARAM, M_THREEPID_MEDIUM_NOT_SUPPORTED, M_LIMIT_EXCEEDED; M_THREEPID_IN_USE,
 * M_THREEPID_NOT_FOUND where that is not hidden.
 */
export async function requestValidation(ctx: Engine, wish: ValidationWish): Promise<string> {
  const mail = mailOf(ctx)
  const { purpose, domain, language } = wish
  const address = parseMailAddress(wish.email)
  if (address === undefined) throw new MatrixError('M_INVALID_PARAM', 'This is not a mail address')
  const nextLink = wish.nextLink === undefined ? undefined : allowedLink(ctx, wish.nextLink)
  await ctx.rateLimits.take('mail_address', address)
  const [owner] = await ctx.database.read(userOfThreepid, ['email', address])
  const isHidden = ctx.config.mail.hide_existence
  const isWanted = (owner !== undefined) === (purpose === 'password')
  if (!isWanted && !isHidden) {
    throw owner
      ? new MatrixError('M_THREEPID_IN_USE', 'The address is of an account already')
      : new MatrixError('M_THREEPID_NOT_FOUND', 'No account has this address')
  }
  const token = ctx.random.token(32)
  const now = ctx.clock.now()
  await ctx.database.read(deleteOldValidations, [now - forgottenAfter])
  const { sid, sent } = await beginValidation(ctx.database, {
    sid: ctx.random.token(18),
    purpose,
    secretHash: hashOf(wish.clientSecret),
    address,
    sendAttempt: wish.sendAttempt,
    tokenHash: isWanted ? hashOf(token) : null,
    nextLink: nextLink ?? null,
    now,
    since: now - lifetime(ctx),
  })
  if (!sent || (!isWanted && !owner)) return sid
  const values = {
    app_name: ctx.config.mail.app_name,
    server_name: domain,
    link: `${ctx.domains.baseUrlOf(domain)}${submitTokenPath}?token=${token}`,
    minutes: String(Math.ceil(ctx.config.mail.link_lifetime_seconds / 60)),
    user_id: owner?.user_id ?? '',
  }
  const name = isWanted ? purpose : 'taken'
  if (isHidden) {
    mail.post(address, name, language, values)
    return sid
  }
  await mail.send(address, name, language, values).catch((cause: unknown) => {
    throw new MatrixError('M_UNKNOWN', `The mail could not be sent: ${(cause as Error).name}`, { status: 500 })
  })
  return sid
}

/**
 * Where the page may lead after the link was opened: to our own pages and those of the domains that the operator lists, with
 * TLS. Another link is forgotten, since clients send one without being asked.
 *
 * @throws MatrixError M_INVALID_PARAM for what is no link.
 */
function allowedLink(ctx: Pick<Context, 'config' | 'domains'>, text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || text.length > 2000) throw new MatrixError('M_INVALID_PARAM', 'next_link is not a link')
  const own = ctx.domains.all.map((name) => new URL(ctx.domains.baseUrlOf(name)).host)
  const isPlain = url.username === '' && url.password === ''
  const isKnown = [...own, ...ctx.config.mail.next_link_domains].includes(url.host)
  return url.protocol === 'https:' && isPlain && isKnown ? url.href : undefined
}

/** What a link from a mail is about; undefined when it is not good, or no longer. Nothing is used up. */
export async function validationOf(ctx: Engine, token: string) {
  const [found] = await ctx.database.read(validationByToken, [hashOf(token), ctx.clock.now() - lifetime(ctx)])
  return found
}

/** Takes a link from a mail, once. @returns undefined when it is not good, or no longer. */
export async function confirm(ctx: Engine, token: string) {
  const now = ctx.clock.now()
  const [confirmed] = await ctx.database.read(confirmValidation, [hashOf(token), now - lifetime(ctx), now])
  return confirmed
}

/** The address that a session has proved, if it has, is of this purpose and secret, and was not used yet. */
export async function addressProvedBy(
  ctx: Engine,
  purpose: MailPurpose,
  { sid, clientSecret }: { readonly sid: string; readonly clientSecret: string },
): Promise<ProvedAddress | undefined> {
  const values = [sid, purpose, hashOf(clientSecret), ctx.clock.now() - lifetime(ctx)]
  const [proved] = await ctx.database.read(provedAddress, values)
  return proved
}

/** Uses up the proof of a session whose secret was shown. @returns undefined when somebody did before, or it is too old. */
export function takeProofOf(
  ctx: Pick<Engine, 'config' | 'clock'>,
  db: Db,
  purpose: MailPurpose,
  sid: string,
): Promise<ProvedAddress | undefined> {
  return takeProof(db, sid, purpose, ctx.clock.now() - lifetime(ctx))
}

function lifetime(ctx: Pick<Engine, 'config'>): number {
  return ctx.config.mail.link_lifetime_seconds * 1000
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
