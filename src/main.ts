#!/usr/bin/env node
import { type Command, CommandError, parseArguments, usage } from './cli/arguments.ts'
import { checkConfiguration } from './cli/check-config.ts'
import { createUser } from './cli/create-user.ts'
import { generateSigningKey } from './cli/generate-signing-key.ts'
import { migrateDatabase } from './cli/migrate.ts'
import { setPassword } from './cli/set-password.ts'
import { start } from './cli/start.ts'
import { ConfigError } from './config.ts'
import { MatrixError } from './matrix/errors.ts'

const commands: { readonly [name in Command['name']]: (command: Command, env: NodeJS.ProcessEnv) => Promise<void> } = {
  start,
  migrate: migrateDatabase,
  'check-config': checkConfiguration,
  'generate-signing-key': generateSigningKey,
  'create-user': createUser,
  'set-password': setPassword,
}

async function main(): Promise<number> {
  try {
    const command = parseArguments(process.argv.slice(2))
    if (command === 'help') console.log(usage)
    else await commands[command.name](command, process.env)
    return 0
  } catch (error) {
    console.error(`chappe: ${sentenceOf(error)}`)
    return error instanceof CommandError ? 2 : 1
  }
}

/** What an operator can act on; a bug keeps its stack for whoever looks for it. */
function sentenceOf(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.join('\nchappe: ')
  if (!(error instanceof Error)) return String(error)
  if (error instanceof MatrixError || process.env.CHAPPE_LOG_LEVEL !== 'debug') return error.message
  return error.stack ?? error.message
}

process.exitCode = await main()
