import { type Command, CommandError, parseArguments, usage } from './cli/arguments.ts'

type Run = (command: Command, env: NodeJS.ProcessEnv) => Promise<void>

/** Each command loads only what it needs. */
const commands: { readonly [name in Command['name']]: () => Promise<Run> } = {
  start: async () => {
    const { start } = await import('./cli/start.ts')
    const loadRest = async () => {
      const [{ serve }, { createFederation }] = await Promise.all([
        import('./cli/serve.ts'),
        import('../federation/index.ts'),
      ])
      return { serve, createFederation }
    }
    return (command, env) => start(command, env, loadRest)
  },
  migrate: async () => (await import('./cli/migrate.ts')).migrateDatabase,
  'check-config': async () => (await import('./cli/check-config.ts')).checkConfiguration,
  'generate-signing-key': async () => (await import('./cli/signing-keys.ts')).generateSigningKey,
  'rotate-key': async () => (await import('./cli/signing-keys.ts')).rotateKey,
  'revoke-key': async () => (await import('./cli/signing-keys.ts')).revokeKey,
  'create-user': async () => (await import('./cli/create-user.ts')).createUser,
  audit: async () => (await import('./cli/export-audit.ts')).exportAudit,
  'after-restore': async () => (await import('./cli/after-restore.ts')).afterRestore,
  'set-password': async () => (await import('./cli/set-password.ts')).setPassword,
}

async function main(): Promise<number> {
  try {
    const command = parseArguments(process.argv.slice(2))
    if (command === 'help') {
      console.log(usage)
      return 0
    }
    const run = await commands[command.name]()
    await run(command, process.env)
    return 0
  } catch (error) {
    console.error(`chappe: ${await sentenceOf(error)}`)
    return error instanceof CommandError ? 2 : 1
  }
}

/** What an operator can act on; with the log at debug, where it comes from too. */
async function sentenceOf(error: unknown): Promise<string> {
  const { ConfigError } = await import('./config.ts')
  if (error instanceof ConfigError) return error.problems.join('\nchappe: ')
  if (!(error instanceof Error)) return String(error)
  return process.env.CHAPPE_LOG_LEVEL === 'debug' ? (error.stack ?? error.message) : error.message
}

process.exitCode = await main()
