import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { finishDeactivations } from '../accounts/leave-all-rooms.ts'
import type { Config } from '../config.ts'
import { beginClosing, type Context, closeContext, createContext } from '../context.ts'
import type { Endpoint } from '../http/endpoint.ts'
import { alwaysForServers, type RunningServer, startAdminServer, startServer } from '../server.ts'
import type { Command } from './arguments.ts'

type Federation = {
  readonly endpoints: readonly Endpoint[]
  reload(config: Config): void
  close(): Promise<void>
}

export type CreateFederation = (context: Context) => Federation | undefined

type Serving = {
  readonly config: Config
  readonly log: Logger
  /** Reads the configuration again. */
  readonly load: () => Config
  readonly command: Command
  readonly databaseUrl: string
  /** Resolves when the process is told to stop. */
  readonly stopRequested: Promise<void>
}

/** Serves until it is told to stop. On SIGHUP every process of the deployment reads again its keys and who is federated with. */
export async function serve(serving: Serving, createFederation: CreateFederation): Promise<void> {
  const { config, log, load, command } = serving
  const context = await createContext(config, serving.databaseUrl, { log })
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
    await serving.stopRequested
    log.info('Stopping')
    await Promise.all(servers.map((one) => one.close()))
    await federation?.close()
  } finally {
    beginClosing(context)
    await closeContext(context)
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
