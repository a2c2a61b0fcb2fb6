import { type Database, type Db, statement } from './database.ts'

export type MailPurpose = 'register' | 'password' | 'add'

const upsert = statement<{ sid: string }>(
  'begin a mail validation',
  `insert into mail_validations as v (sid, purpose, secret_hash, address, send_attempt, token_hash, next_link, created_at)
   values ($1, $2, $3, $4, $5, $6, $7, $8)
   on conflict (purpose, secret_hash, address) do update set
     sid = case when v.used or v.created_at <= $9 then excluded.sid else v.sid end,
     validated_at = case when v.used or v.created_at <= $9 then null else v.validated_at end,
     used = false, send_attempt = excluded.send_attempt, token_hash = excluded.token_hash,
     next_link = excluded.next_link, created_at = excluded.created_at
   where v.send_attempt < excluded.send_attempt or v.used or v.created_at <= $9
   returning sid`,
)
const bySecret = statement<{ sid: string }>(
  'mail validation by its secret',
  'select sid from mail_validations where purpose = $1 and secret_hash = $2 and address = $3',
)

/**
 * Notes that an address is to be proved, unless it was for the same attempt or a later one; what has ended before `since`
 * begins anew.
 *
 * @returns the session's id, and whether this attempt is a new one.
 */
export async function beginValidation(
  database: Pick<Database, 'read'>,
  wish: {
    readonly sid: string
    readonly purpose: MailPurpose
    readonly secretHash: Buffer
    readonly address: string
    readonly sendAttempt: number
    readonly tokenHash: Buffer | null
    readonly nextLink: string | null
    readonly now: number
    readonly since: number
  },
): Promise<{ sid: string; sent: boolean }> {
  const { sid, purpose, secretHash, address, sendAttempt, tokenHash, nextLink, now, since } = wish
  const values = [sid, purpose, secretHash, address, sendAttempt, tokenHash, nextLink, now, since]
  const [begun] = await database.read(upsert, values)
  if (begun) return { sid: begun.sid, sent: true }
  const [known] = await database.read(bySecret, [purpose, secretHash, address])
  return { sid: known?.sid ?? sid, sent: false }
}

/** A link that is still good: parameters are the hash of its token, and since when it must have been sent. */
export const validationByToken = statement<{ next_link: string | null; purpose: MailPurpose }>(
  'mail validation by its token',
  'select next_link, purpose from mail_validations where token_hash = $1 and created_at > $2 and not used',
)

/** Uses up the token; of several only one does. Parameters: its hash, since when, now. */
export const confirmValidation = statement<{ next_link: string | null; purpose: MailPurpose }>(
  'confirm a mail validation',
  `update mail_validations set token_hash = null, validated_at = $3
   where token_hash = $1 and created_at > $2 and not used returning next_link, purpose`,
)

export type ProvedAddress = { readonly address: string; readonly validated_at: number }

/** Parameters: id of the session, purpose, hash of the secret, since when. */
export const provedAddress = statement<ProvedAddress>(
  'proved mail address',
  `select address, validated_at from mail_validations
   where sid = $1 and purpose = $2 and secret_hash = $3 and validated_at > $4 and not used`,
)

/** Takes a proof for what it is good for; only once. */
export function takeProof(
  db: Db,
  sid: string,
  purpose: MailPurpose,
  since: number,
): Promise<ProvedAddress | undefined> {
  return db
    .updateTable('mail_validations')
    .set({ used: true })
    .where('sid', '=', sid)
    .where('purpose', '=', purpose)
    .where('validated_at', '>', since)
    .where('used', '=', false)
    .returning(['address', 'validated_at'])
    .$castTo<ProvedAddress>()
    .executeTakeFirst()
}

export const deleteOldValidations = statement<never>(
  'delete old mail validations',
  'delete from mail_validations where created_at < $1',
)
