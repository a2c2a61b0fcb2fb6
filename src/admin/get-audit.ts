import { Type } from '@sinclair/typebox'
import { endpoint } from '../http/endpoint.ts'
import { type AuditEntry, auditEntries } from '../storage/audit.ts'
import { limit, text } from './schemas.ts'

/** The audit trail, newest first unless `dir` is `f`. */
export const getAudit = endpoint({
  method: 'get',
  path: '/_chappe/admin/v1/audit',
  auth: 'admin',
  query: Type.Object({
    from: Type.Optional(Type.Integer({ minimum: 0 })),
    limit,
    dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
    actor: Type.Optional(text),
    target: Type.Optional(text),
    operation: Type.Optional(text),
    since: Type.Optional(Type.Integer()),
    until: Type.Optional(Type.Integer()),
    failed: Type.Optional(Type.Boolean()),
  }),
  async handle(ctx, { query }) {
    const { from, dir, limit = 100, ...filter } = query
    const rows = await auditEntries(ctx.database.db, filter, { from, backwards: dir !== 'f', limit })
    return {
      entries: rows.map(auditAnswer),
      ...(rows.length === limit && { next_token: String(rows.at(-1)!.entry) }),
    }
  },
})

/** An entry as JSON. */
export function auditAnswer({ details, ...row }: AuditEntry) {
  return { ...row, details: details === null ? null : JSON.parse(details) }
}
