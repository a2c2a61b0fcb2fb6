import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { MAX_RENDEZVOUS_BYTES, MAX_RENDEZVOUS_SESSIONS, RENDEZVOUS_LIFETIME_MS } from '../matrix/limits.ts'
import {
  deleteRendezvous,
  insertRendezvous,
  type RendezvousRow,
  rendezvous,
  updateRendezvous,
} from '../storage/rendezvous.ts'

/**
 * A place where two devices meet to sign one of them in: some bytes that both read and overwrite, whoever knows its id.
 * What is told is encrypted between the two.
 *
 * Spec: MSC4388, "Insecure rendezvous session", and MSC4108 (2024).
 */
export type Rendezvous = {
  readonly data: Buffer
  /** Another one after each write. */
  readonly token: string
  readonly modifiedAt: number
  readonly expiresAt: number
}

type Engine = Pick<Context, 'database' | 'clock' | 'random'>

/** @throws MatrixError M_TOO_LARGE; M_LIMIT_EXCEEDED when too many devices meet already. */
export async function openRendezvous(ctx: Engine, data: Buffer): Promise<Rendezvous & { readonly id: string }> {
  refuseTooMuch(data)
  const now = ctx.clock.now()
  const id = ctx.random.token(16)
  const row = [id, data, ctx.random.token(16), now, now + RENDEZVOUS_LIFETIME_MS, MAX_RENDEZVOUS_SESSIONS]
  const [opened] = await ctx.database.read(insertRendezvous, row)
  if (!opened) throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many devices are being signed in')
  return { ...read(opened), id }
}

/** @throws MatrixError M_NOT_FOUND for one that is over or never was. */
export async function findRendezvous(ctx: Engine, id: string): Promise<Rendezvous> {
  const [row] = await ctx.database.read(rendezvous, [id, ctx.clock.now()])
  if (!row) throw notFound()
  return read(row)
}

/**
 * Writes what the other device shall read, if nobody wrote since the token was read.
 *
 * @returns `isWritten` false with what is there, when somebody did.
 * @throws MatrixError M_NOT_FOUND, M_TOO_LARGE
 */
export async function writeRendezvous(
  ctx: Engine,
  id: string,
  token: string,
  data: Buffer,
): Promise<Rendezvous & { readonly isWritten: boolean }> {
  refuseTooMuch(data)
  const [row] = await ctx.database.read(updateRendezvous, [id, ctx.clock.now(), token, data, ctx.random.token(16)])
  return row ? { ...read(row), isWritten: true } : { ...(await findRendezvous(ctx, id)), isWritten: false }
}

/** @throws MatrixError M_NOT_FOUND */
export async function closeRendezvous(ctx: Engine, id: string): Promise<void> {
  const [row] = await ctx.database.read(deleteRendezvous, [id, ctx.clock.now()])
  if (!row) throw notFound()
}

function read(row: RendezvousRow): Rendezvous {
  return { data: row.data, token: row.sequence_token, modifiedAt: row.modified_at, expiresAt: row.expires_at }
}

function refuseTooMuch(data: Buffer): void {
  if (data.length <= MAX_RENDEZVOUS_BYTES) return
  throw new MatrixError('M_TOO_LARGE', `More than ${MAX_RENDEZVOUS_BYTES} bytes`)
}

function notFound(): MatrixError {
  return new MatrixError('M_NOT_FOUND', 'There is no such rendezvous session')
}
