import { changePassword } from '../accounts/change-password.ts'
import { auditAct } from '../http/audited.ts'
import { findAccount } from '../storage/accounts.ts'
import type { Command } from './arguments.ts'
import { userIdFrom } from './create-user.ts'
import { askPassword } from './password-prompt.ts'
import { withContext } from './with-context.ts'

export async function setPassword(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const password = await askPassword(command.password)
  await withContext(command, env, async (ctx) => {
    const userId = userIdFrom(command.operands[0]!, ctx.domains.default)
    const account = await findAccount(ctx.database.db, userId)
    if (account === undefined) throw new Error(`there is no user ${userId}`)
    const act = { actor: null, address: 'command line', operation: 'set-password', target: userId, details: null }
    const options = { logOutOthers: true, keepDevice: undefined }
    await auditAct(ctx, act, () => changePassword(ctx, { userId, userNid: account.user_nid }, password, options))
    console.log(`Set the password of ${userId} and ended their sessions`)
  })
}
