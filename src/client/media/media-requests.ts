import { Type } from '@sinclair/typebox'
import type { Response } from 'express'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import { DEFAULT_WAIT_MS } from '../../media/limits.ts'

/** How long to wait for content that has not been uploaded. */
export const waitQuery = Type.Object({ timeout_ms: Type.Optional(Type.Integer({ minimum: 0 })) })

/** Redirects are never sent, so `allow_redirect` needs no reading. */
export const legacyQuery = Type.Composite([waitQuery, Type.Object({ allow_remote: Type.Optional(Type.Boolean()) })])

/** @throws MatrixError M_NOT_FOUND where media are for users only. */
export function refuseLegacy(ctx: Pick<Context, 'config'>): void {
  if (!ctx.config.media.allow_legacy_unauthenticated) throw new MatrixError('M_NOT_FOUND', 'Media not found')
}

/** A client that went away waits no more. */
export function waitOf(
  query: { readonly timeout_ms?: number },
  response: Response,
): { timeout: number; signal: AbortSignal } {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return { timeout: query.timeout_ms ?? DEFAULT_WAIT_MS, signal: gone.signal }
}
