import { randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { inject } from 'vitest'
import type { Clock } from '../src/clock.ts'
import { checkConfig } from '../src/config.ts'
import { createContext } from '../src/context.ts'
import type { ServerName } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signJson } from '../src/matrix/signatures.ts'
import { startServer } from '../src/server.ts'
import { createTestDatabase, type TestDatabase } from '../src/testing/database.ts'
import { TestServer } from '../src/testing/test-server.ts'
import type { AllowRules } from './allow-list.ts'
import { createFederation, type RunningFederation } from './index.ts'

/** Below the ports that the system gives to connections, so that none of those takes it meanwhile. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '0.0.0.0', () => resolve(true))
    })
    await new Promise((resolve) => server.close(resolve))
    if (isFree) return port
  }
}

export type FederatedServerOptions = {
  /** How many domains the deployment has: each is an address of its own. */
  readonly domains?: 1 | 2
  readonly redis?: boolean
  readonly clock?: Clock
  /** Further sections of the configuration. */
  readonly config?: object
  /** Another process of that server's deployment, which nobody reaches by its names; or the same one again, later. */
  readonly like?: TestServer
  /** Where it listens; `like` itself may be gone by now. */
  readonly port?: number
  /** Its database, where that is not one of the run's. */
  readonly database?: TestDatabase
  /** Its data, where they are not those of `like`. */
  readonly dataDir?: string
  /** Leaves the database and the keys where they are. */
  readonly kept?: boolean
}

/** A server that others can reach by its name, which is its address. */
export async function startFederatedServer(
  federation: object = {},
  options: FederatedServerOptions = {},
): Promise<TestServer> {
  const { like } = options
  const port = options.port ?? (await freePort())
  const database = options.database ?? like?.database ?? (await createTestDatabase())
  const given = like?.tree ?? treeOf(port, federation, options)
  const tree = options.dataDir === undefined ? given : { ...given, data_dir: options.dataDir }
  const log = pino({ level: process.env.CHAPPE_TEST_LOG ?? 'silent' })
  const ctx = await createContext(checkConfig(tree), database.url, {
    log,
    ...(options.clock && { clock: options.clock }),
  })
  const running = createFederation(ctx)
  const server = await startServer(ctx, { port, also: running?.endpoints ?? [] })
  const close = async (): Promise<void> => {
    await server.close()
    await running?.close()
  }
  const cleanUp = async (): Promise<void> => {
    if (options.kept || (like && options.port === undefined)) return
    rmSync(tree.data_dir as string, { recursive: true, force: true })
    await database[Symbol.asyncDispose]()
  }
  const started = new TestServer({ ctx, server: { port: server.port, close }, database, tree, cleanUp })
  if (running) runningIn.set(started, running)
  return started
}

const runningIn = new WeakMap<TestServer, RunningFederation>()

/** From here on a server federates with others than before, as if its configuration had been read again. */
export function reloadFederation(server: TestServer, changes: Partial<AllowRules>): void {
  const { config } = server.ctx
  runningIn.get(server)!.reload({ federation: { ...config.federation, ...changes } })
}

function treeOf(port: number, federation: object, options: FederatedServerOptions): { [key: string]: unknown } {
  return {
    server_names: options.domains === 2 ? [`127.0.0.1:${port}`, `127.0.0.2:${port}`] : [`127.0.0.1:${port}`],
    data_dir: mkdtempSync(join(tmpdir(), 'chappe-federation-')),
    host: '0.0.0.0',
    // A test says which domain it means by the header that a proxy would set.
    trusted_proxies: ['127.0.0.1'],
    registration: { mode: 'open' },
    rate_limits: { enabled: false },
    passwords: { argon2_memory_kib: 8, argon2_passes: 1 },
    federation: { allow: ['*'], allow_addresses: ['127.0.0.0/8'], insecure_http: true, ...federation },
    ...(options.redis && {
      redis: { url: inject('redisUrl'), prefix: `test-${randomBytes(6).toString('hex')}` },
    }),
    ...options.config,
  }
}

/** A request of one server to another, signed as told. */
export function signedRequest(
  from: TestServer,
  to: TestServer,
  method: string,
  uri: string,
  options: { body?: JsonObject; sent?: JsonObject; destination?: ServerName; origin?: ServerName } = {},
) {
  const own = from.ctx.domains.default
  const key = from.ctx.domains.keyOf(own)
  const origin = options.origin ?? own
  const destination = options.destination ?? to.ctx.domains.default
  const { body } = options
  const signed = signJson({ method, uri, origin, destination, ...(body && { content: body }) }, own, key)
  const sig = signed.signatures[own]![key.keyId]!
  const authorization = `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${sig}"`
  const sent = options.sent ?? body
  return to.request(method, uri, { headers: { authorization }, ...(sent && { body: sent }) })
}
