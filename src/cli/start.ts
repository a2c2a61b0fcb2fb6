import { finishDeactivations } from '../accounts/leave-all-rooms.ts'
import { loadConfig } from '../config.ts'
import { beginClosing, closeContext, createContext, createLog } from '../context.ts'
import { startServer } from '../server.ts'
import type { Command } from './arguments.ts'
import { openDeployment } from './deployment.ts'

/** Serves until SIGTERM or SIGINT. */
export async function start(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const config = loadConfig({ env, ...(command.config !== undefined && { file: command.config }) })
  const log = createLog(config)
  const stopRequested = onStopSignal()
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'A bug; the process ends so that another can take its place')
    process.exit(1)
  })
  const deployment = await openDeployment(config, log, { exclusive: true })
  try {
    const context = await createContext(config, deployment.databaseUrl, { log })
    try {
      const server = await startServer(context).catch((error: unknown) => {
        throw listenError(error, config)
      })
      log.info({ host: config.host, port: server.port, serverNames: config.server_names }, 'Listening')
      console.log(welcome(config, server.port, command.config))
      finishDeactivations(context).catch((error: unknown) =>
        log.error({ err: error }, 'Deactivated users are left in rooms'),
      )
      await stopRequested
      log.info('Stopping')
      await server.close()
    } finally {
      beginClosing(context)
      await closeContext(context)
    }
  } finally {
    await deployment.close()
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

function listenError(error: unknown, config: { host: string; port: number }): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EADDRINUSE') return new Error(`port ${config.port} of ${config.host} is taken by another program`)
  if (code === 'EACCES') return new Error(`port ${config.port} of ${config.host} may not be used by this user`)
  if (code === 'EADDRNOTAVAIL') return new Error(`${config.host} is not an address of this machine`)
  return error
}

function welcome(config: { host: string; server_names: string[] }, port: number, file: string | undefined): string {
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  const option = file === undefined ? '' : ` --config ${file}`
  return [
    `Chappe serves ${config.server_names.join(', ')} at http://${host}:${port}`,
    `The first administrator: npm run chappe -- create-user --admin NAME${option}`,
  ].join('\n')
}
