import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { queryOnce, type TestDatabase } from './database.ts'

/** A PostgreSQL as an operator has it, with the tools that come with it; the embedded one has none. */
export type DebianPostgres = {
  /** An empty database, dropped at the end of the block. */
  createDatabase(name: string): Promise<TestDatabase>
  /** Runs pg_dump, pg_restore or psql, and returns what it writes. */
  run(tool: string, args: readonly string[]): string
  [Symbol.asyncDispose](): Promise<void>
}

const packages = ['postgresql-15', 'postgresql-client-15', 'libpq5']
const cache = join(import.meta.dirname, '../../node_modules/.cache/debian-postgres')
/** PostgreSQL does not run as root. */
const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups']

/**
 * Starts PostgreSQL of Debian: the one that is installed, else the one of its packages, unpacked beside the tests.
 *
 * @throws Error with one sentence.
 */
export async function startDebianPostgres(): Promise<DebianPostgres> {
  const { bin, libraries } = findPrograms()
  const env = { PATH: process.env.PATH, LC_ALL: 'C', LD_LIBRARY_PATH: libraries }
  const folder = mkdtempSync(join(tmpdir(), 'chappe-debian-postgres-'))
  const data = join(folder, 'data')
  const isRoot = process.getuid?.() === 0
  const command = (program: string, args: readonly string[]): [string, string[]] =>
    isRoot ? ['setpriv', [...nobody, join(bin, program), ...args]] : [join(bin, program), [...args]]
  if (isRoot) execFileSync('chown', ['65534:65534', folder])
  const [initdb, initdbArgs] = command('initdb', ['-D', data, '-U', 'chappe', '-A', 'trust', '-E', 'UTF8', '--no-sync'])
  execFileSync(initdb, initdbArgs, { env, stdio: 'ignore', cwd: folder })
  const settings = ['fsync=off', 'listen_addresses=', 'shared_buffers=32MB', 'jit=off'].flatMap((one) => ['-c', one])
  const [postgres, postgresArgs] = command('postgres', ['-D', data, '-k', folder, ...settings])
  const child = spawn(postgres, postgresArgs, { env, stdio: 'ignore', cwd: folder })
  const urlOf = (name: string): string => `postgresql://chappe@/${name}?host=${encodeURIComponent(folder)}`
  await untilReady(join(bin, 'pg_isready'), ['-q', '-h', folder], env, child)
  return {
    async createDatabase(name) {
      await queryOnce(urlOf('postgres'), `create database ${name}`)
      const drop = () => queryOnce(urlOf('postgres'), `drop database if exists ${name} with (force)`)
      return { url: urlOf(name), [Symbol.asyncDispose]: drop }
    },
    run: (tool, args) =>
      execFileSync(join(bin, tool), args, { env, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024, cwd: folder }),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGINT')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function findPrograms(): { bin: string; libraries: string } {
  const installed = programsUnder('/usr/lib/postgresql')
  if (installed !== undefined) return { bin: installed, libraries: '' }
  const root = join(cache, 'usr/lib/postgresql')
  try {
    if (programsUnder(root) === undefined) unpack()
  } catch {
    // Said below.
  }
  const unpacked = programsUnder(root)
  if (unpacked === undefined) throw new Error('This test needs the PostgreSQL of Debian: install postgresql.')
  const library = readdirSync(join(cache, 'usr/lib')).find((name) => name.endsWith('-linux-gnu'))
  return { bin: unpacked, libraries: join(cache, 'usr/lib', library ?? '') }
}

function programsUnder(root: string): string | undefined {
  const versions = existsSync(root) ? readdirSync(root) : []
  return versions
    .map((version) => join(root, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'pg_dump')))
}

function unpack(): void {
  mkdirSync(cache, { recursive: true })
  execFileSync('apt-get', ['download', '-qq', ...packages], { cwd: cache, stdio: 'ignore' })
  for (const file of readdirSync(cache).filter((name) => name.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['-x', file, '.'], { cwd: cache, stdio: 'ignore' })
    rmSync(join(cache, file))
  }
}

async function untilReady(program: string, args: string[], env: NodeJS.ProcessEnv, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`postgres ended with ${child.exitCode}`)
    const probe = spawn(program, args, { env, stdio: 'ignore' })
    const code = await new Promise((resolve) => probe.once('exit', resolve))
    if (code === 0) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
