import { freePort, type Program, startProgram } from './program.ts'
import { createDatabase, type Redis, startBalancer, startRedis } from './services.ts'

/** Two processes with one database and one Redis behind one address, as an operator runs them who wants to lose none. */
export type Deployment = AsyncDisposable & {
  /** Where clients and bridges connect: each connection leads to the next process. */
  readonly url: string
  readonly processes: readonly [Program, Program]
  readonly redis: Redis
  /** Ends one as a crash does. Resolves when clients have noticed that their connections to it are broken. */
  kill(program: Program): Promise<void>
}

export async function startDeployment(environment: Record<string, string> = {}): Promise<Deployment> {
  await using started = new AsyncDisposableStack()
  const database = started.use(await createDatabase())
  const redis = started.use(await startRedis())
  const port = await freePort()
  const shared = {
    ...environment,
    ...database.environment,
    CHAPPE_REDIS_URL: redis.url,
    CHAPPE_DOMAINS: `[{ name: localhost, public_baseurl: "http://127.0.0.1:${port}" }]`,
  }
  const one = started.use(await startProgram(shared))
  const other = started.use(await startProgram({ ...shared, CHAPPE_DATA_DIR: one.dataDir }))
  const balancer = started.use(await startBalancer([one.url, other.url], port))
  const owned = started.move()
  return {
    url: balancer.url,
    processes: [one, other],
    redis,
    async kill(program) {
      await program.kill()
      // A request on a connection that has just broken fails in any client; what counts is what comes after it.
      await balancer.forgotten(program.url)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
