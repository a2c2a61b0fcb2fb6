import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { inject } from 'vitest'
import { type Config, checkConfig } from '../config.ts'
import { type Context, closeContext, createContext, type Surroundings } from '../context.ts'
import { type RunningServer, startServer } from '../server.ts'
import { migrate } from '../storage/migrate.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import {
  type Answer,
  sendRequest,
  TestClient,
  type TestRequest,
  type TestResponse,
  UnexpectedAnswer,
} from './test-client.ts'

type Tree = { readonly [key: string]: unknown }

export type TestServerOptions = Surroundings & {
  readonly serverNames?: readonly string[]
  /** Keys of the configuration over those that tests use; sections are merged. */
  readonly config?: Tree
  /** `true` for the Redis of the run, or the URL of another. */
  readonly redis?: boolean | string
  readonly database?: TestDatabase
  /** Makes this a further process of that server's deployment. */
  readonly sharing?: TestServer
}

/** A server of the test's own: real express, real PostgreSQL, on a port of its own. */
export class TestServer {
  readonly ctx: Context
  readonly url: string
  readonly database: TestDatabase
  /** What a further process of the deployment is started with. */
  readonly tree: Tree
  readonly #server: RunningServer
  readonly #cleanUp: () => Promise<void>

  constructor(parts: {
    ctx: Context
    server: RunningServer
    database: TestDatabase
    tree: Tree
    cleanUp: () => Promise<void>
  }) {
    this.ctx = parts.ctx
    this.database = parts.database
    this.tree = parts.tree
    this.url = `http://127.0.0.1:${parts.server.port}`
    this.#server = parts.server
    this.#cleanUp = parts.cleanUp
  }

  /** The answer, whatever its status. */
  request(method: string, path: string, request: TestRequest = {}): Promise<TestResponse> {
    return sendRequest(this.url, method, path, request)
  }

  /** Registers a user with the password `password of NAME`. */
  async register(name: string, options: { domain?: string; password?: string } = {}): Promise<TestClient> {
    const body = {
      username: name,
      password: options.password ?? passwordOf(name),
      auth: { type: 'm.login.dummy' },
    }
    return new TestClient(this.url, await this.#post('/_matrix/client/v3/register', body, options.domain))
  }

  /** Logs in a further device of a user. */
  async logIn(
    user: string,
    options: { domain?: string; password?: string; deviceId?: string; refreshable?: boolean } = {},
  ): Promise<TestClient> {
    const body = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user },
      password: options.password ?? passwordOf(/^@?([^:]*)/.exec(user)![1]!),
      ...(options.deviceId !== undefined && { device_id: options.deviceId }),
      ...(options.refreshable === true && { refresh_token: true }),
    }
    return new TestClient(this.url, await this.#post('/_matrix/client/v3/login', body, options.domain))
  }

  /** The same user and device, at this process. */
  adopt(client: TestClient): TestClient {
    return new TestClient(this.url, {
      user_id: client.userId,
      device_id: client.deviceId,
      access_token: client.accessToken,
      refresh_token: client.refreshToken,
    })
  }

  async close(): Promise<void> {
    await this.#server.close()
    await closeContext(this.ctx)
    await this.#cleanUp()
  }

  async #post(path: string, body: object, domain: string | undefined): Promise<Answer> {
    const headers = domain === undefined ? {} : { 'x-forwarded-host': domain }
    const response = await this.request('post', path, { body, headers })
    if (response.status !== 200) throw new UnexpectedAnswer('post', path, response)
    return response.body
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

export function passwordOf(name: string): string {
  return `password of ${name}`
}

/** Starts a server; it and what it made are gone at the end of the block. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { sharing } = options
  const database = sharing?.database ?? options.database ?? (await createTestDatabase())
  const folder = sharing === undefined ? mkdtempSync(join(tmpdir(), 'chappe-server-')) : undefined
  const tree = merge(sharing?.tree ?? defaults(options, folder!), options.config ?? {})
  const config: Config = checkConfig(tree)
  const log = options.log ?? pino({ level: process.env.CHAPPE_TEST_LOG ?? 'silent' })
  await migrate({
    url: database.url,
    serverNames: config.server_names,
    allowUnsafeDurability: true,
    log,
    now: Date.now(),
  })
  const ctx = await createContext(config, database.url, { ...options, log })
  const server = await startServer(ctx, { port: 0 })
  const cleanUp = async (): Promise<void> => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    if (sharing === undefined && options.database === undefined) await database[Symbol.asyncDispose]()
  }
  return new TestServer({ ctx, server, database, tree, cleanUp })
}

/** Open to everybody, without limits, and with passwords that cost nothing. */
function defaults(options: TestServerOptions, folder: string): Tree {
  const redisUrl = options.redis === true ? inject('redisUrl') : options.redis
  return {
    server_names: options.serverNames ?? ['a.test'],
    data_dir: folder,
    // A test says which domain it means by the header that a proxy would set.
    trusted_proxies: ['127.0.0.1'],
    registration: { mode: 'open' },
    rate_limits: { enabled: false },
    passwords: { argon2_memory_kib: 8, argon2_passes: 1 },
    ...(typeof redisUrl === 'string' && {
      redis: { url: redisUrl, prefix: `test-${randomBytes(6).toString('hex')}` },
    }),
  }
}

function merge(base: Tree, over: Tree): Tree {
  const merged: { [key: string]: unknown } = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key]
    merged[key] = isTree(before) && isTree(value) ? merge(before, value) : value
  }
  return merged
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
