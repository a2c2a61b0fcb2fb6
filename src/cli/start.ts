import { type Config, loadConfig } from '../config.ts'
import { createLog } from '../log.ts'
import type { Command } from './arguments.ts'
import { openDeployment } from './deployment.ts'
import type { CreateFederation, serve } from './serve.ts'

/** What takes a while to load, and is not needed until the database is there. */
type Rest = { readonly serve: typeof serve; readonly createFederation: CreateFederation }

/**
 * Serves until SIGTERM or SIGINT. While PostgreSQL starts, the rest of the program is loaded.
 *
 * @throws ConfigError, DatabaseRefused, or an Error of one sentence.
 */
export async function start(command: Command, env: NodeJS.ProcessEnv, loadRest: () => Promise<Rest>): Promise<void> {
  const load = (): Config => loadConfig({ env, ...(command.config !== undefined && { file: command.config }) })
  const config = load()
  const log = createLog(config)
  const stopRequested = onStopSignal()
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'A bug; the process ends so that another can take its place')
    process.exit(1)
  })
  const opening = openDeployment(config, log, { exclusive: true })
  // It is waited for below.
  opening.catch(() => {})
  try {
    const { serve, createFederation } = await loadRest()
    const { databaseUrl } = await opening
    await serve({ config, log, load, command, databaseUrl, stopRequested }, createFederation)
  } finally {
    await opening.then(
      (deployment) => deployment.close(),
      () => {},
    )
  }
}

/** The second signal does not wait for anybody. */
function onStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = 0
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        asked++
        if (asked > 2) process.exit(1)
        resolve()
      })
    }
  })
}
