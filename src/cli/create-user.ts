import { createAccount } from '../accounts/create-account.ts'
import { checkPasswordPolicy } from '../accounts/passwords.ts'
import { auditAct } from '../http/audited.ts'
import { MatrixError } from '../matrix/errors.ts'
import { parseUserId, type UserId } from '../matrix/ids.ts'
import type { Command } from './arguments.ts'
import { askPassword } from './password-prompt.ts'
import { withContext } from './with-context.ts'

export async function createUser(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const password = await askPassword(command.password)
  await withContext(command, env, async (ctx) => {
    const userId = userIdFrom(command.operands[0]!, ctx.domains.default)
    checkPasswordPolicy(ctx.config, password)
    const details = JSON.stringify({ admin: command.admin })
    const act = { actor: null, address: 'command line', operation: 'create-user', target: userId, details }
    await auditAct(ctx, act, () => createAccount(ctx, { userId, password, isAdmin: command.admin }))
    console.log(`Created ${command.admin ? 'the administrator' : 'the user'} ${userId}`)
  })
}

/** A localpart stands for a user of the default domain. */
export function userIdFrom(text: string, domain: string): UserId {
  const userId = parseUserId(text.startsWith('@') ? text : `@${text}:${domain}`)
  if (userId === undefined) throw new MatrixError('M_INVALID_USERNAME', `"${text}" is not a user name`)
  return userId
}
