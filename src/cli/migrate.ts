import { loadConfig } from '../config.ts'
import { createLog } from '../log.ts'
import type { Command } from './arguments.ts'
import { openDeployment } from './deployment.ts'

export async function migrateDatabase(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const config = loadConfig({ env, ...(command.config !== undefined && { file: command.config }) })
  const deployment = await openDeployment(config, createLog({ log: { level: 'warn' } }), { exclusive: false })
  await deployment.close()
  console.log('The database is ready for this release')
}
