import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import type { Logger } from 'pino'
import { type Binaries, findBinaries, reachableBinaries } from './embedded-binaries.ts'
import { postgresSettings } from './embedded-settings.ts'
import { type DatabaseUser, isReachable, userForPostgres } from './embedded-user.ts'

/**
 * PostgreSQL as a part of the program: its own cluster in a folder, reached through a socket that only its owner can
 * open.
 */
export type EmbeddedPostgres = {
  /** A URL for the `chappe` database, or another one. */
  urlOf(database?: string): string
  /** Stops PostgreSQL once its clients are gone; leaves it alone when another process took it over. */
  stop(): Promise<void>
}

export type EmbeddedOptions = {
  /** The folder of the cluster, made when it is missing. */
  readonly folder: string
  readonly log: Logger
  /** Whether the caller is the server, of which there can be one to a cluster. Commands use what is running. */
  readonly exclusive: boolean
  /** Many connections, and what is acknowledged may be lost when the machine stops. */
  readonly forTests?: boolean
  /** How many connections there can be, where it is not the one process of the default. */
  readonly connections?: number
}

const databaseName = 'chappe'
const role = 'chappe'
/** PostgreSQL and its clients make the same file name of this number; no network port is opened. */
const port = 5432
/** Held in session by the server that uses the cluster. Any number; it only has to differ from the migration lock. */
const ownerLock = 4_011_794

/** A socket's path must fit into sockaddr_un. */
const maxSocketPath = 100

/** Milliseconds before PostgreSQL is started again that could not be. */
const retryAfter = 1_000

/**
 * Starts the cluster, or takes over the one that a killed process left running. PostgreSQL is started again when it ends
 * by itself.
 *
 * @throws Error with one sentence: no binaries for this machine, no user to run as, the folder is in use.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const cluster = await openCluster(options)
  let child: ChildProcess | undefined
  let stopping = false

  async function start(): Promise<void> {
    if (await isReady(cluster)) return
    for (let attempt = 0; ; attempt++) {
      const running = runningPid(cluster)
      if (running === undefined) child = launch(cluster, options, onExit)
      const failure = await untilReady(cluster, running === undefined ? child : undefined)
      if (failure === undefined) return
      // Backends of a killed server may still be leaving; PostgreSQL refuses to start beside them.
      if (attempt >= 50) throw new Error(`PostgreSQL does not start: ${failure}`)
      await delay(100)
    }
  }

  function onExit(): void {
    if (stopping) return
    options.log.error('PostgreSQL ended by itself and is started again')
    comeBack()
  }

  function comeBack(): void {
    if (stopping) return
    start().catch((error: unknown) => {
      options.log.fatal({ err: error }, 'PostgreSQL cannot be started again yet')
      // A full disk may be emptied, and a slow machine finish its recovery: nobody else would start it.
      setTimeout(comeBack, retryAfter).unref()
    })
  }

  await start()
  await ensureDatabase(cluster)
  const owner = options.exclusive ? await becomeOwner(cluster) : undefined
  // A cluster that was taken over is nobody's child: it must be asked whether it still lives.
  const watch = setInterval(() => {
    if (child === undefined && !stopping && runningPid(cluster) === undefined) onExit()
  }, 500)
  watch.unref()

  return {
    urlOf: (database = databaseName) => urlOf(cluster, database),
    async stop() {
      stopping = true
      clearInterval(watch)
      await owner?.release()
      if (!options.exclusive && (child === undefined || (await hasOwner(cluster)))) {
        child?.unref()
        return
      }
      await shutDown(cluster)
    },
  }
}

type Cluster = {
  readonly folder: string
  readonly socketFolder: string
  readonly binaries: Binaries
  readonly user: DatabaseUser
}

async function openCluster(options: EmbeddedOptions): Promise<Cluster> {
  const folder = resolve(options.folder)
  const found = await findBinaries()
  const binaries = process.getuid?.() === 0 ? reachableBinaries(found, isReachable) : found
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const user = userForPostgres(folder, binaries)
  const cluster = { folder, binaries, user, socketFolder: socketFolderOf(folder) }
  own(folder, user)
  mkdirSync(cluster.socketFolder, { recursive: true, mode: 0o700 })
  own(cluster.socketFolder, user)
  if (!existsSync(join(folder, 'data', 'PG_VERSION'))) await initialise(cluster, options)
  writeSettings(cluster, options)
  return cluster
}

/** Beside the data, unless that path is too long for a socket. */
function socketFolderOf(folder: string): string {
  const near = join(folder, 'socket')
  if (near.length <= maxSocketPath - '.s.PGSQL.5432.lock'.length) return near
  return join(tmpdir(), `chappe-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`)
}

function own(path: string, user: DatabaseUser): void {
  if (user.ids !== undefined) chownSync(path, user.ids.uid, user.ids.gid)
}

/** A cluster that was half made when the process was killed is made again: it never held anything. */
async function initialise(cluster: Cluster, options: EmbeddedOptions): Promise<void> {
  const making = join(cluster.folder, 'data')
  rmSync(making, { recursive: true, force: true })
  const child = run(cluster, cluster.binaries.initdb, [
    `--pgdata=${making}`,
    `--username=${role}`,
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(options.forTests === true ? ['--no-sync'] : []),
  ])
  const output: string[] = []
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()))
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', fail)
    child.once('close', done)
  })
  if (code !== 0) {
    rmSync(making, { recursive: true, force: true })
    throw new Error(`PostgreSQL cannot make its cluster in ${making}: ${output.join('').trim().split('\n').at(-1)}`)
  }
}

function writeSettings(cluster: Cluster, { forTests = false, connections }: EmbeddedOptions): void {
  const settings = [...postgresSettings(forTests), ...(connections ? [['max_connections', connections]] : [])]
  const lines = settings.map(([name, value]) => `${name} = '${value}'`)
  lines.push(`port = ${port}`, `unix_socket_directories = '${cluster.socketFolder.replaceAll("'", "''")}'`)
  const file = join(cluster.folder, 'data', 'postgresql.auto.conf')
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })
  own(file, cluster.user)
}

function launch(cluster: Cluster, options: EmbeddedOptions, onExit: () => void): ChildProcess {
  const child = run(cluster, cluster.binaries.postgres, ['-D', join(cluster.folder, 'data')])
  child.stderr?.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().trimEnd().split('\n')) {
      const level = /\b(FATAL|PANIC): (?!.*(starting up|shutting down))/.test(line) ? 'warn' : 'debug'
      options.log[level]({ postgres: line }, 'PostgreSQL')
    }
  })
  child.once('error', (error) => options.log.error({ err: error }, 'PostgreSQL cannot be run'))
  child.once('exit', () => {
    if (isReadyChild.delete(child)) onExit()
  })
  return child
}

/** Children that have answered once: whoever starts one deals with an end before that. */
const isReadyChild = new WeakSet<ChildProcess>()

/** In a process group of its own, so that Ctrl-C reaches the server first and PostgreSQL when the server is done. */
function run(cluster: Cluster, file: string, args: readonly string[]): ChildProcess {
  const { command, prefix, ids } = cluster.user
  return spawn(command ?? file, [...prefix, ...(command === undefined ? [] : [file]), ...args], {
    ...(command === undefined && ids),
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: cluster.folder,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  })
}

/** @returns why it is not ready, or `undefined` when it is. */
async function untilReady(cluster: Cluster, child: ChildProcess | undefined): Promise<string | undefined> {
  let last = 'it does not answer'
  child?.stderr?.on('data', (chunk: Buffer) => {
    last = chunk.toString().trim().split('\n').at(-1) ?? last
  })
  // Recovery after a crash reads the log of at most max_wal_size, which can take minutes on a slow disk.
  for (let waited = 0; waited < 300_000; waited += 20) {
    if (await isReady(cluster)) {
      if (child !== undefined) isReadyChild.add(child)
      return undefined
    }
    if (child !== undefined && (child.exitCode !== null || child.signalCode !== null)) return last
    if (child === undefined && runningPid(cluster) === undefined) return last
    await delay(20)
  }
  return last
}

async function isReady(cluster: Cluster): Promise<boolean> {
  if (!existsSync(join(cluster.socketFolder, `.s.PGSQL.${port}`))) return false
  const client = await connect(cluster, 'postgres').catch(() => undefined)
  await client?.end().catch(() => {})
  return client !== undefined
}

/** The process that `postmaster.pid` names, if it lives and is a PostgreSQL on this folder. */
function runningPid(cluster: Cluster): number | undefined {
  try {
    const [pid, folder] = readFileSync(join(cluster.folder, 'data', 'postmaster.pid'), 'utf8').split('\n')
    return folder === join(cluster.folder, 'data') && isPostgres(Number(pid)) ? Number(pid) : undefined
  } catch {
    return undefined
  }
}

/** Not when it is a zombie, or another program has the number now. */
function isPostgres(pid: number): boolean {
  try {
    process.kill(pid, 0)
    const status = existsSync('/proc/self') ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '(postgres) S'
    return /\(postgres\) [^ZX]/.test(status)
  } catch {
    return false
  }
}

async function connect(cluster: Cluster, database: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlOf(cluster, database), connectionTimeoutMillis: 5000 })
  client.on('error', () => {})
  await client.connect()
  return client
}

function urlOf(cluster: Cluster, database: string): string {
  return `postgresql:///${database}?host=${encodeURIComponent(cluster.socketFolder)}&port=${port}&user=${role}`
}

async function ensureDatabase(cluster: Cluster): Promise<void> {
  const client = await connect(cluster, 'postgres')
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [databaseName])
    if (rowCount === 0) await client.query(`create database ${databaseName}`)
  } finally {
    await client.end()
  }
}

/** A session lock, so a process that is killed leaves nothing behind that would keep the next one out. */
async function becomeOwner(cluster: Cluster): Promise<{ release(): Promise<void> }> {
  for (let waited = 0; ; waited += 100) {
    const client = await connect(cluster, 'postgres')
    const { rows } = await client.query('select pg_try_advisory_lock($1) as mine', [ownerLock])
    if (rows[0].mine === true) return { release: () => client.end() }
    await client.end()
    if (waited >= 3000) {
      throw new Error(`Another process serves from ${cluster.folder}: several processes need database.url`)
    }
    await delay(100)
  }
}

async function hasOwner(cluster: Cluster): Promise<boolean> {
  const client = await connect(cluster, 'postgres').catch(() => undefined)
  if (client === undefined) return false
  const { rows } = await client.query('select pg_try_advisory_lock($1) as free', [ownerLock])
  await client.end()
  return rows[0].free !== true
}

/** Fast shutdown: open transactions are rolled back, what was committed is written out. */
async function shutDown(cluster: Cluster): Promise<void> {
  const pid = runningPid(cluster)
  if (pid === undefined) return
  process.kill(pid, 'SIGINT')
  for (let waited = 0; waited < 60_000 && isPostgres(pid); waited += 20) await delay(20)
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds))
}
