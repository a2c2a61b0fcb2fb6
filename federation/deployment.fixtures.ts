import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import type { RoomId, ServerName } from '../src/matrix/ids.ts'
import { createTestDatabase, type TestDatabase } from '../src/testing/database.ts'
import { Program } from '../src/testing/program.ts'
import { sendRequest, TestClient } from '../src/testing/test-client.ts'
import type { BadNetwork, Line } from './bad-network.fixtures.ts'
import type { Addressed } from './hostile-server.fixtures.ts'

export type DeploymentOptions = { readonly processes?: number; readonly domains?: 1 | 2 }

type Running = { readonly program: Program; readonly port: number }

/** A deployment as an operator runs it: processes of their own, which others reach by a line of a network. */
export class Deployment {
  readonly line: Line
  readonly domains: readonly ServerName[]
  readonly database: TestDatabase
  readonly #folder = mkdtempSync(join(tmpdir(), 'chappe-deployment-'))
  readonly #redis = `chaos-${randomBytes(6).toString('hex')}`
  readonly #processes: (Running | undefined)[]

  constructor(line: Line, database: TestDatabase, { processes = 1, domains = 1 }: DeploymentOptions) {
    this.line = line
    this.database = database
    const hosts = ['127.0.0.1', '127.0.0.2'].slice(0, domains)
    this.domains = hosts.map((host): ServerName => `${host}:${line.port}`)
    this.#processes = Array.from({ length: processes }, () => undefined)
  }

  get name(): ServerName {
    return this.domains[0]!
  }

  isRunning(index: number): boolean {
    return this.#processes[index] !== undefined
  }

  /** Where a process serves its clients. */
  url(index = 0): string {
    return `http://127.0.0.1:${this.#processes[index]!.port}`
  }

  async start(index = 0): Promise<void> {
    const program = new Program(['start'], this.#environment())
    const port = Number(new URL(await program.url()).port)
    this.#processes[index] = { program, port }
    this.#lead()
  }

  /** Ends a process without a chance to finish anything. */
  async kill(index = 0): Promise<void> {
    const { program } = this.#processes[index]!
    this.#processes[index] = undefined
    this.#lead()
    await program.end('SIGKILL')
  }

  /** One of its processes, as another server asks it. */
  process(index: number): Addressed {
    const request: Addressed['request'] = (method, path, asked) => sendRequest(this.url(index), method, path, asked)
    return { ctx: { domains: { default: this.name } }, request }
  }

  async register(name: string, { domain = this.name, at = 0 } = {}): Promise<TestClient> {
    const response = await fetch(`${this.url(at)}/_matrix/client/v3/register`, {
      method: 'POST',
      headers: { 'x-forwarded-host': domain },
      body: JSON.stringify({ username: name, password: `password of ${name}`, auth: { type: 'm.login.dummy' } }),
    })
    return new TestClient(this.url(at), await response.json())
  }

  /** The same user and device, wherever the process serves now. */
  again(client: TestClient, index = 0): TestClient {
    return new TestClient(this.url(index), {
      user_id: client.userId,
      device_id: client.deviceId,
      access_token: client.accessToken,
      refresh_token: client.refreshToken,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((running) => running?.program.end('SIGKILL')))
    await this.database[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #lead(): void {
    this.line.backends = this.#processes.flatMap((running) => running?.port ?? [])
  }

  #environment(): Record<string, string> {
    return {
      CHAPPE_SERVER_NAMES: this.domains.join(','),
      CHAPPE_DATA_DIR: this.#folder,
      CHAPPE_DATABASE_URL: this.database.url,
      CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true',
      CHAPPE_HOST: '127.0.0.1',
      CHAPPE_PORT: '0',
      CHAPPE_TRUSTED_PROXIES: '127.0.0.1',
      CHAPPE_REGISTRATION: 'open',
      CHAPPE_RATE_LIMITS: 'off',
      CHAPPE_PASSWORDS_ARGON2_MEMORY_KIB: '8',
      CHAPPE_FEDERATION_ALLOW: '*',
      CHAPPE_FEDERATION_ALLOW_ADDRESSES: '127.0.0.0/8',
      CHAPPE_FEDERATION_INSECURE_HTTP: 'true',
      CHAPPE_LOG_LEVEL: process.env.CHAPPE_TEST_LOG ?? 'fatal',
      ...(this.#processes.length > 1 && { CHAPPE_REDIS_URL: inject('redisUrl'), CHAPPE_REDIS_PREFIX: this.#redis }),
    }
  }
}

/** Starts all processes of a deployment on a line of its own. */
export async function startDeployment(network: BadNetwork, options: DeploymentOptions = {}): Promise<Deployment> {
  const deployment = new Deployment(await network.line(), await createTestDatabase(), options)
  for (let index = 0; index < (options.processes ?? 1); index++) await deployment.start(index)
  return deployment
}

/** Each hears of each: nobody waits any longer with what there is to tell. */
export async function meetAgain(users: readonly TestClient[]): Promise<void> {
  const pairs = users.flatMap((one) => users.map((other) => [one, other] as const))
  await Promise.all(pairs.map(([one, other]) => one.attempt('get', `/profile/${encodeURIComponent(other.userId)}`)))
}

/** The state of a room as a user sees it: the event of each key. */
export async function stateSeen(user: TestClient, room: RoomId): Promise<Map<string, string>> {
  const events = await user.get(`/rooms/${encodeURIComponent(room)}/state`)
  const entries = events.map(({ type, state_key: key, event_id: id }: { [name: string]: string }) => [
    `${type} ${key}`,
    id,
  ])
  return new Map(entries.sort(([one]: [string], [other]: [string]) => (one < other ? -1 : 1)))
}

/** The ids of all events of a room that a user can see, from the last to the first. */
export async function eventsSeen(user: TestClient, room: RoomId): Promise<string[]> {
  const ids: string[] = []
  for (let from: string | undefined = ''; from !== undefined; ) {
    const query = { dir: 'b', limit: 100, ...(from !== '' && { from }) }
    const page = await user.get(`/rooms/${encodeURIComponent(room)}/messages`, query)
    ids.push(...page.chunk.map((event: { event_id: string }) => event.event_id))
    from = page.end
  }
  return ids
}
