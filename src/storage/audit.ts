import { sql } from 'kysely'
import { type Db, statement } from './database.ts'

/** A call of an administrator, or of somebody who is none, as it is told to auditors. */
export type AuditEntry = {
  readonly entry: number
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly actor: string | null
  readonly address: string
  readonly operation: string
  readonly target: string | null
  /** JSON text. */
  readonly details: string | null
  /** Null while the call is under way, and for ever when its process ended meanwhile. */
  readonly status: number | null
  readonly errcode: string | null
}

export const insertAuditEntry = statement<{ entry: number }>(
  'insert audit entry',
  `insert into audit_log (at, actor, address, operation, target, details) values ($1, $2, $3, $4, $5, $6)
   returning entry`,
)

export const insertAuditOutcome = statement<never>(
  'insert audit outcome',
  'insert into audit_outcomes (entry, at, status, errcode) values ($1, $2, $3, $4)',
)

export type AuditFilter = {
  readonly actor?: string | undefined
  readonly target?: string | undefined
  readonly operation?: string | undefined
  /** Milliseconds since the epoch: not before, and before. */
  readonly since?: number | undefined
  readonly until?: number | undefined
  /** Only calls that were refused or failed. */
  readonly failed?: boolean | undefined
}

/** A page of the audit trail after or, backwards, before an entry. */
export function auditEntries(
  db: Db,
  filter: AuditFilter,
  page: { readonly from: number | undefined; readonly backwards: boolean; readonly limit: number },
): Promise<AuditEntry[]> {
  let query = db
    .selectFrom('audit_log as l')
    .leftJoin('audit_outcomes as o', 'o.entry', 'l.entry')
    .select([
      'l.entry',
      'l.at',
      'l.actor',
      'l.address',
      'l.operation',
      'l.target',
      'l.details',
      'o.status',
      'o.errcode',
    ])
    .orderBy('l.entry', page.backwards ? 'desc' : 'asc')
    .limit(page.limit)
  if (page.from !== undefined) query = query.where('l.entry', page.backwards ? '<' : '>', page.from)
  if (filter.actor !== undefined) query = query.where('l.actor', '=', filter.actor)
  if (filter.target !== undefined) query = query.where('l.target', '=', filter.target)
  if (filter.operation !== undefined) query = query.where(sql<boolean>`strpos(l.operation, ${filter.operation}) > 0`)
  if (filter.since !== undefined) query = query.where('l.at', '>=', filter.since)
  if (filter.until !== undefined) query = query.where('l.at', '<', filter.until)
  if (filter.failed === true) query = query.where('o.status', '>=', 400)
  return query.execute()
}
