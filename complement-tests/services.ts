import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import pg from 'pg'
import { inject } from 'vitest'
import { freePort } from './program.ts'

/** A database that several programs share; dropped at the end of the block. */
export type Database = AsyncDisposable & {
  /** What a program is told that uses it. */
  readonly environment: { readonly [name: string]: string }
}

/** An empty database, as an operator makes one. */
export async function createDatabase(): Promise<Database> {
  const admin = inject('postgresUrl')
  const name = `black_box_${randomBytes(8).toString('hex')}`
  const ask = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: admin })
    client.on('error', () => {})
    await client.connect()
    await client.query(statement).finally(() => client.end())
  }
  // What the tests are started with says nothing of how it is encoded: a closed environment has no locale.
  await ask(`create database ${name} encoding 'UTF8' template template0`)
  return {
    environment: {
      CHAPPE_DATABASE_URL: admin.replace('/postgres?', `/${name}?`),
      // The PostgreSQL of the tests is never to survive a loss of power.
      CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true',
    },
    [Symbol.asyncDispose]: () => ask(`drop database if exists ${name} with (force)`),
  }
}

/** A Redis that can be killed and started again on its port. */
export type Redis = AsyncDisposable & { readonly url: string; kill(): Promise<void>; start(): Promise<void> }

export async function startRedis(): Promise<Redis> {
  const port = await freePort()
  let child: ChildProcess
  const start = async (): Promise<void> => {
    child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const line of child.stdout!) if (String(line).includes('Ready to accept connections')) break
  }
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await start()
  return { url: `redis://127.0.0.1:${port}`, kill, start, [Symbol.asyncDispose]: kill }
}

export type Balancer = AsyncDisposable & {
  readonly url: string
  /** Resolves when no connection is left that leads to a backend which has gone, and its clients have noticed. */
  forgotten(backend: string): Promise<void>
}

/** One address before several: each connection goes to the next one that takes it. */
export async function startBalancer(backends: readonly string[], port: number): Promise<Balancer> {
  const ports = backends.map((url) => Number(new URL(url).port))
  let next = 0
  const open = new Set<Socket>()
  /** The port that each connection leads to. */
  const leadsTo = new Map<Socket, number>()
  const server = createServer((client) => {
    open.add(client)
    client.on('close', () => {
      open.delete(client)
      leadsTo.delete(client)
    })
    client.on('error', () => client.destroy())
    const first = next++
    const attempt = (tried: number): void => {
      if (tried === ports.length) return void client.destroy()
      const port = ports[(first + tried) % ports.length]!
      const backend = connect(port, '127.0.0.1')
      backend.once('connect', () => {
        leadsTo.set(client, port)
        backend.removeAllListeners('error')
        backend.on('error', () => client.destroy())
        client.on('close', () => backend.destroy())
        backend.on('close', () => client.destroy())
        client.pipe(backend).pipe(client)
      })
      backend.once('error', () => attempt(tried + 1))
    }
    attempt(0)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${port}`,
    async forgotten(backend) {
      const gone = Number(new URL(backend).port)
      const left = [...leadsTo].filter(([, port]) => port === gone)
      await Promise.all(left.map(([client]) => once(client, 'close')))
      // The other ends are in this process: they are told in the next turns of its loop.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
