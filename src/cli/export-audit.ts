import { auditEntries } from '../storage/audit.ts'
import type { Command } from './arguments.ts'
import { withContext } from './with-context.ts'

const pageSize = 1000

/** Writes the audit trail to standard output, oldest first, an entry a line as JSON. */
export async function exportAudit(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  await withContext(command, env, async (ctx) => {
    let from: number | undefined
    for (;;) {
      const rows = await auditEntries(ctx.database.db, {}, { from, backwards: false, limit: pageSize })
      for (const { details, ...row } of rows) {
        console.log(JSON.stringify({ ...row, details: details === null ? null : JSON.parse(details) }))
      }
      if (rows.length < pageSize) return
      from = rows.at(-1)!.entry
    }
  })
}
