import type { Db, Tx } from './database.ts'

export type InteractiveSessionRow = {
  request_mac: Buffer
  completed: string[]
  registration_token: string | null
  /** The proof of a mail address: storage/mail-validations.ts. */
  mail_sid: string | null
}

const columns = ['request_mac', 'completed', 'registration_token', 'mail_sid'] as const

export async function insertInteractiveSession(
  db: Db,
  session: {
    session_hash: Buffer
    request_mac: Buffer
    created_at: number
    completed: string[]
    registration_token: string | null
    mail_sid: string | null
  },
): Promise<void> {
  await db.insertInto('interactive_sessions').values(session).execute()
}

/** @param since sessions that began before are over. */
export function findInteractiveSession(
  db: Db,
  sessionHash: Buffer,
  since: number,
): Promise<InteractiveSessionRow | undefined> {
  return db
    .selectFrom('interactive_sessions')
    .select(columns)
    .where('session_hash', '=', sessionHash)
    .where('created_at', '>', since)
    .executeTakeFirst()
}

/** Finds a session and keeps others from it until the transaction ends. */
export function lockInteractiveSession(tx: Tx, sessionHash: Buffer): Promise<InteractiveSessionRow | undefined> {
  return tx
    .selectFrom('interactive_sessions')
    .select(columns)
    .where('session_hash', '=', sessionHash)
    .forUpdate()
    .executeTakeFirst()
}

export async function updateInteractiveSession(
  tx: Tx,
  sessionHash: Buffer,
  changes: { completed: string[]; registration_token: string | null; mail_sid: string | null },
): Promise<void> {
  await tx.updateTable('interactive_sessions').set(changes).where('session_hash', '=', sessionHash).execute()
}

export async function deleteInteractiveSession(tx: Tx, sessionHash: Buffer): Promise<void> {
  await tx.deleteFrom('interactive_sessions').where('session_hash', '=', sessionHash).execute()
}

/** Forgets sessions that are over. @returns the registration tokens they had kept a use of. */
export async function deleteInteractiveSessionsBefore(db: Db, before: number): Promise<string[]> {
  const rows = await db
    .deleteFrom('interactive_sessions')
    .where('created_at', '<=', before)
    .returning('registration_token')
    .execute()
  return rows.flatMap((row) => (row.registration_token === null ? [] : [row.registration_token]))
}
