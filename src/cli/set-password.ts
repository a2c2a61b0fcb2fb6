import { changePassword } from '../accounts/change-password.ts'
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
    await changePassword(ctx, { userId, userNid: account.user_nid }, password, {
      logOutOthers: true,
      keepDevice: undefined,
    })
    console.log(`Set the password of ${userId} and ended their sessions`)
  })
}
