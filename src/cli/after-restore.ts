import { auditAct } from '../http/audited.ts'
import { moveOnAfterRestore } from '../storage/after-restore.ts'
import type { Command } from './arguments.ts'
import { withContext } from './with-context.ts'

/** To be run once after a back-up was restored, before the server starts: docs/operations.md. */
export async function afterRestore(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  await withContext(command, env, async (ctx) => {
    const act = { actor: null, address: 'command line', operation: 'after-restore', target: null, details: null }
    const { position, oneTimeKeys } = await auditAct(ctx, act, () => moveOnAfterRestore(ctx.database))
    console.log(`The stream goes on at ${position}; ${oneTimeKeys} one-time keys are void. The server can start`)
  })
}
