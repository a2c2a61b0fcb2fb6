import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from '../context.ts'
import { addressProvedBy, takeProofOf } from '../mail/validations.ts'
import { canonicalJson } from '../matrix/canonical-json.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { UserId } from '../matrix/ids.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import type { Db } from '../storage/database.ts'
import {
  deleteInteractiveSession,
  deleteInteractiveSessionsBefore,
  findInteractiveSession,
  type InteractiveSessionRow,
  insertInteractiveSession,
  lockInteractiveSession,
  updateInteractiveSession,
} from '../storage/interactive-sessions.ts'
import type { ProvedAddress } from '../storage/mail-validations.ts'
import {
  holdRegistrationToken,
  isRegistrationTokenUsable,
  releaseRegistrationTokens,
} from '../storage/registration-tokens.ts'
import { checkOwnPassword } from './log-in.ts'
import { tokenHash } from './sessions.ts'

export type Stage =
  | 'm.login.dummy'
  | 'm.login.password'
  | 'm.login.registration_token'
  | 'm.login.terms'
  | 'm.login.email.identity'

/** An operation that asks its user to prove something first. */
export type Guarded = {
  /** Method and path: what a session is good for. */
  readonly operation: string
  readonly body: JsonObject
  /**
   * What may not change while a session lasts. Clients begin to register before they know the name, so there it is only
   * the operation.
   */
  readonly binds: 'operation' | 'body'
  /** The ways to complete it, each a list of stages. */
  readonly flows: readonly (readonly Stage[])[]
  readonly params?: JsonObject
  /** Whose password it takes. */
  readonly user?: { readonly userId: UserId; readonly userNid: number }
  /** What `m.login.email.identity` must have been asked for. */
  readonly mailPurpose?: 'register' | 'password'
}

export type Authenticated = {
  readonly complete: true
  /** `held`: a use of it was kept for this session. */
  readonly registrationToken: { readonly token: string; readonly held: boolean } | undefined
  readonly completed: readonly Stage[]
  /** The address that was proved. The proof is used up. */
  readonly mail: ProvedAddress | undefined
}

/** The body of the 401 that says what is still to be done. */
export type Challenged = { readonly complete: false; readonly challenge: JsonObject }

type Failure = { readonly errcode: string; readonly error: string }
type StageResult =
  | { readonly stage: Stage; readonly registrationToken?: string; readonly mailSid?: string }
  | Failure
  | undefined

/**
 * Takes the `auth` of a request as far as it goes. The caller performs the operation when it is complete, and answers
 * 401 with the challenge when it is not.
 *
 * Spec: Client-Server API, "User-Interactive Authentication API" (v1.19).
 */
export async function authenticateInteractively(ctx: Context, guarded: Guarded): Promise<Authenticated | Challenged> {
  const auth = authOf(guarded.body)
  const now = ctx.clock.now()
  const since = now - ctx.config.sessions.interactive_auth_lifetime_seconds * 1000
  const sessionId = typeof auth?.session === 'string' && auth.session !== '' ? auth.session : undefined
  const stored = sessionId === undefined ? undefined : await findSession(ctx, guarded, sessionId, since)
  // A session that is over, or was started for something else, counts for nothing: the client starts again.
  if (sessionId !== undefined && stored === undefined) return startSession(ctx, guarded, undefined)
  const result = auth === undefined ? undefined : await tryStage(ctx, guarded, auth, stored?.completed ?? [], now)
  if (sessionId === undefined) return startSession(ctx, guarded, result)
  return continueSession(ctx, guarded, sessionId, result, now)
}

function authOf(body: JsonObject): JsonObject | undefined {
  const auth = body.auth
  if (auth === undefined || auth === null) return undefined
  if (typeof auth !== 'object' || Array.isArray(auth)) throw new MatrixError('M_BAD_JSON', 'Not valid: auth')
  return auth as JsonObject
}

async function findSession(
  ctx: Context,
  guarded: Guarded,
  sessionId: string,
  since: number,
): Promise<InteractiveSessionRow | undefined> {
  const stored = await findInteractiveSession(ctx.database.db, tokenHash(sessionId), since)
  return stored !== undefined && timingSafeEqual(stored.request_mac, requestMac(guarded, sessionId))
    ? stored
    : undefined
}

/** Keyed by the session's id, of which the database has only a hash. */
function requestMac(guarded: Guarded, sessionId: string): Buffer {
  const { auth: _, ...asked } = guarded.body as { [key: string]: Json }
  const bound = guarded.binds === 'body' ? canonicalJson(asked) : ''
  const user = guarded.user?.userId ?? ''
  return createHmac('sha256', sessionId).update(`${guarded.operation}\n${user}\n${bound}`).digest()
}

/** Without a session a single stage may complete a flow at once, which is how most bots register. */
async function startSession(ctx: Context, guarded: Guarded, result: StageResult): Promise<Authenticated | Challenged> {
  const completed = result !== undefined && 'stage' in result ? [result.stage] : []
  const token = result !== undefined && 'stage' in result ? result.registrationToken : undefined
  const mailSid = result !== undefined && 'stage' in result ? result.mailSid : undefined
  if (isComplete(guarded, completed)) {
    const mail = await takeMail(ctx, ctx.database.db, guarded, mailSid)
    if (mailSid === undefined || mail !== undefined) {
      const registrationToken = token === undefined ? undefined : { token, held: false }
      return { complete: true, completed, registrationToken, mail }
    }
    return startSession(ctx, guarded, unprovedMail)
  }
  const sessionId = ctx.random.token(18)
  const now = ctx.clock.now()
  await forgetOldSessions(ctx, now)
  const held = token !== undefined && (await hold(ctx, token, now))
  await insertInteractiveSession(ctx.database.db, {
    session_hash: tokenHash(sessionId),
    request_mac: requestMac(guarded, sessionId),
    created_at: now,
    completed: token !== undefined && !held ? [] : completed,
    registration_token: held ? token : null,
    mail_sid: mailSid ?? null,
  })
  return challenge(guarded, sessionId, completed, result)
}

async function continueSession(
  ctx: Context,
  guarded: Guarded,
  sessionId: string,
  result: StageResult,
  now: number,
): Promise<Authenticated | Challenged> {
  const sessionHash = tokenHash(sessionId)
  return ctx.database.db.transaction().execute(async (tx): Promise<Authenticated | Challenged> => {
    const row = await lockInteractiveSession(tx, sessionHash)
    if (row === undefined)
      return challenge(guarded, sessionId, [], { errcode: 'M_FORBIDDEN', error: 'This session is over' })
    let { registration_token: token, mail_sid: mailSid } = row
    let completed = row.completed as Stage[]
    let failure: StageResult = result
    if (result !== undefined && 'stage' in result && !completed.includes(result.stage)) {
      const wanted = result.registrationToken
      if (wanted !== undefined && !(await holdRegistrationToken(tx, wanted, now))) {
        failure = invalidToken
      } else {
        completed = [...completed, result.stage]
        token = wanted ?? token
        mailSid = result.mailSid ?? mailSid
      }
    }
    if (isComplete(guarded, completed)) {
      const mail = await takeMail(ctx, tx, guarded, mailSid ?? undefined)
      if (mailSid === null || mail !== undefined) {
        await deleteInteractiveSession(tx, sessionHash)
        const registrationToken = token === null ? undefined : { token, held: true }
        return { complete: true, completed, registrationToken, mail }
      }
      completed = completed.filter((stage) => stage !== 'm.login.email.identity')
      mailSid = null
      failure = unprovedMail
    }
    await updateInteractiveSession(tx, sessionHash, { completed, registration_token: token, mail_sid: mailSid })
    return challenge(guarded, sessionId, completed, failure)
  })
}

function isComplete(guarded: Guarded, completed: readonly Stage[]): boolean {
  return guarded.flows.some((flow) => flow.every((stage) => completed.includes(stage)))
}

const unprovedMail: Failure = {
  errcode: 'M_UNAUTHORIZED',
  error: 'The mail address is not confirmed yet, or no longer',
}

/** Uses up the proof of an address. */
async function takeMail(
  ctx: Context,
  db: Db,
  { mailPurpose }: Guarded,
  sid: string | undefined,
): Promise<ProvedAddress | undefined> {
  return sid === undefined || mailPurpose === undefined ? undefined : takeProofOf(ctx, db, mailPurpose, sid)
}

const invalidToken: Failure = { errcode: 'M_UNAUTHORIZED', error: 'The registration token is not valid' }

/** `undefined`: nothing was tried, the client only asks how far it is. */
async function tryStage(
  ctx: Context,
  guarded: Guarded,
  auth: JsonObject,
  completed: readonly string[],
  now: number,
): Promise<StageResult> {
  const type = auth.type
  if (type === undefined || typeof type !== 'string') return undefined
  const stage = guarded.flows.flat().find((offered) => offered === type)
  if (stage === undefined) return { errcode: 'M_UNRECOGNIZED', error: 'This stage was not offered' }
  if (completed.includes(stage)) return { stage }
  switch (stage) {
    case 'm.login.dummy':
    case 'm.login.terms':
      return { stage }
    case 'm.login.password':
      return guarded.user !== undefined && (await checkOwnPassword(ctx, guarded.user, auth))
        ? { stage }
        : { errcode: 'M_FORBIDDEN', error: 'Invalid user name or password' }
    case 'm.login.registration_token':
      return typeof auth.token === 'string' && (await isUsable(ctx, auth.token, now))
        ? { stage, registrationToken: auth.token }
        : invalidToken
    case 'm.login.email.identity': {
      const sid = await provedSession(ctx, guarded, auth)
      return sid === undefined ? unprovedMail : { stage, mailSid: sid }
    }
  }
}

/**
 * The session whose address was proved. Whichever identity server the client names is not asked.
 *
 * Spec: Client-Server API, "Email-based (identity / homeserver)" (v1.19).
 */
async function provedSession(ctx: Context, guarded: Guarded, auth: JsonObject): Promise<string | undefined> {
  // Its name in older clients.
  const credentials = auth.threepid_creds ?? auth.threepidCreds
  if (typeof credentials !== 'object' || credentials === null || Array.isArray(credentials)) return undefined
  const { sid, client_secret: clientSecret } = credentials as JsonObject
  if (typeof sid !== 'string' || typeof clientSecret !== 'string' || sid.includes('\0')) return undefined
  const purpose = guarded.mailPurpose
  const proved = purpose && (await addressProvedBy(ctx, purpose, { sid, clientSecret }))
  return proved ? sid : undefined
}

/** PostgreSQL cannot even look for a text with U+0000. */
async function isUsable(ctx: Context, token: string, now: number): Promise<boolean> {
  return !token.includes('\0') && isRegistrationTokenUsable(ctx.database.db, token, now)
}

function hold(ctx: Context, token: string, now: number): Promise<boolean> {
  return ctx.database.db.transaction().execute((tx) => holdRegistrationToken(tx, token, now))
}

async function forgetOldSessions(ctx: Context, now: number): Promise<void> {
  const before = now - ctx.config.sessions.interactive_auth_lifetime_seconds * 1000
  await releaseRegistrationTokens(ctx.database.db, await deleteInteractiveSessionsBefore(ctx.database.db, before))
}

function challenge(guarded: Guarded, session: string, completed: readonly Stage[], result: StageResult): Challenged {
  return {
    complete: false,
    challenge: {
      flows: guarded.flows.map((stages) => ({ stages })),
      params: guarded.params ?? {},
      session,
      ...(completed.length > 0 && { completed }),
      ...(result !== undefined && 'errcode' in result && { errcode: result.errcode, error: result.error }),
    },
  }
}
