import { loadConfig } from '../config.ts'
import { type Context, closeContext, createContext } from '../context.ts'
import { createLog } from '../log.ts'
import type { Command } from './arguments.ts'
import { openDeployment } from './deployment.ts'

/** Runs a command on the deployment's database, beside the server if it runs. */
export async function withContext(
  command: Command,
  env: NodeJS.ProcessEnv,
  work: (ctx: Context) => Promise<void>,
): Promise<void> {
  const config = loadConfig({ env, ...(command.config !== undefined && { file: command.config }) })
  const log = createLog({ log: { level: 'error' } })
  const deployment = await openDeployment(config, log, { exclusive: false })
  try {
    const context = await createContext(config, deployment.databaseUrl, { log })
    try {
      await work(context)
    } finally {
      await closeContext(context)
    }
  } finally {
    await deployment.close()
  }
}
