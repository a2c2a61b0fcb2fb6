import { readFileSync } from 'node:fs'
import { finishDeactivations } from '../accounts/leave-all-rooms.ts'
import { type Config, loadConfig } from '../config.ts'
import { beginClosing, type Context, closeContext, createContext } from '../context.ts'
import type { Endpoint } from '../http/endpoint.ts'
import { createLog } from '../log.ts'
import { alwaysForServers, type RunningServer, startAdminServer, startServer } from '../server.ts'
import type { Command } from './arguments.ts'
import { openDeployment } from './deployment.ts'

type Federation = {
  readonly endpoints: readonly Endpoint[]
  reload(config: Config): void
  close(): Promise<void>
}

/** Serves until SIGTERM or SIGINT. On SIGHUP every process of the deployment reads again its keys and who is federated with. */
export async function start(
  command: Command,
  env: NodeJS.ProcessEnv,
  createFederation: (context: Context) => Federation | undefined,
): Promise<void> {
  const load = (): Config => loadConfig({ env, ...(command.config !== undefined && { file: command.config }) })
  const config = load()
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
      const federation = createFederation(context)
      reloadOnHangup(context, federation, load)
      const servers = await listen(context, federation?.endpoints ?? [])
      const server = servers[0]!
      log.info({ host: config.host, port: server.port, serverNames: config.server_names }, 'Listening')
      console.log(welcome(config, server.port, command.config))
      finishDeactivations(context).catch((error: unknown) =>
        log.error({ err: error }, 'Deactivated users are left in rooms'),
      )
      await stopRequested
      log.info('Stopping')
      await Promise.all(servers.map((one) => one.close()))
      await federation?.close()
    } finally {
      beginClosing(context)
      await closeContext(context)
    }
  } finally {
    await deployment.close()
  }
}

/** What cannot be read leaves everything as it is. */
function reloadOnHangup(context: Context, federation: Federation | undefined, load: () => Config): void {
  context.invalidations.subscribe('configuration', () => {
    try {
      const config = load()
      context.domains.rereadKeys()
      federation?.reload(config)
      context.log.info('The keys and who is federated with were read again')
    } catch (error) {
      context.log.error(
        { err: error },
        'The configuration or a key cannot be read again; what was read before stays in force',
      )
    }
  })
  process.on('SIGHUP', () => context.invalidations.publish('configuration', ''))
}

/** The listener of clients, and that of other servers where it has a port of its own. */
async function listen(context: Context, ofFederation: readonly Endpoint[]): Promise<RunningServer[]> {
  const { config } = context
  const { port, tls_cert_file: certFile, tls_key_file: keyFile } = config.federation
  const isApart = port !== undefined && ofFederation.length > 0
  const onPort = (of: number) => (error: unknown) => {
    throw listenError(error, { host: config.host, port: of })
  }
  const servers = [
    await startServer(context, isApart ? { elsewhere: ofFederation } : { also: ofFederation }).catch(
      onPort(config.port),
    ),
  ]
  if (config.admin.port !== undefined) {
    servers.push(await startAdminServer(context).catch(onPort(config.admin.port)))
  }
  if (!isApart) return servers
  const hasTls = certFile !== undefined && keyFile !== undefined
  const tls = hasTls ? { cert: readFileSync(certFile), key: readFileSync(keyFile) } : undefined
  const options = { port, endpoints: alwaysForServers, also: ofFederation, ...(tls && { tls }) }
  return [...servers, await startServer(context, options).catch(onPort(port))]
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
