import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startEmbeddedPostgres } from './embedded-postgres.ts'
import { migrate } from './migrate.ts'

const log = pino({ level: 'silent' })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chappe-embedded-'))
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function start(exclusive = true) {
  return startEmbeddedPostgres({ folder: join(folder, 'postgres'), log, exclusive })
}

function postmasterPid(): number {
  return Number(readFileSync(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

test('what was written is there after a stop, and nothing runs in between', async () => {
  const first = await start()
  await query(first.urlOf(), 'create table t as select 1 as x')
  expect(await query(first.urlOf(), 'show fsync')).toEqual([{ fsync: 'on' }])
  const pid = postmasterPid()
  await first.stop()
  expect(isAlive(pid)).toBe(false)
  const second = await start()
  expect(await query(second.urlOf(), 'select x from t')).toEqual([{ x: 1 }])
  await second.stop()
})

test('a database that acknowledges what is not on disk is refused, unless that is wanted', async () => {
  const postgres = await start()
  const options = { url: postgres.urlOf(), serverNames: ['a.test'], log, now: 0 }
  await migrate({ ...options, allowUnsafeDurability: false })
  for (const setting of ['synchronous_commit', 'full_page_writes']) {
    // A setting of the whole PostgreSQL is read from its files when it is told to.
    const isOfDatabase = setting === 'synchronous_commit'
    const scope = isOfDatabase ? 'database chappe' : 'system'
    await query(options.url, `alter ${scope} set ${setting} = off`)
    if (!isOfDatabase) await query(options.url, 'select pg_reload_conf()')
    const message = `PostgreSQL runs with ${setting} off`
    await expect.poll(() => migrate({ ...options, allowUnsafeDurability: false }).catch(String)).toContain(message)
    await migrate({ ...options, allowUnsafeDurability: true })
    await query(options.url, `alter ${scope} reset ${setting}`)
  }
  await postgres.stop()
})

test('PostgreSQL that is killed comes back by itself with what was committed', { timeout: 200_000 }, async () => {
  const postgres = await start()
  await query(postgres.urlOf(), 'create table t (x integer)')
  for (let round = 1; round <= 3; round++) {
    await query(postgres.urlOf(), `insert into t values (${round})`)
    process.kill(postmasterPid(), 'SIGKILL')
    await expect
      .poll(() => query(postgres.urlOf(), 'select count(*)::int as n from t').catch(() => undefined), {
        timeout: 60_000,
      })
      .toEqual([{ n: round }])
  }
  await postgres.stop()
})

const holder = `
import { pino } from 'pino'
import { startEmbeddedPostgres } from ${JSON.stringify(join(import.meta.dirname, 'embedded-postgres.ts'))}
await startEmbeddedPostgres({ folder: process.argv[1], log: pino({ level: 'silent' }), exclusive: true })
console.log('ready')
setInterval(() => {}, 1000)
`

/** Another process that serves from the folder. */
async function startHolder(): Promise<{ kill(): Promise<void> }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', holder, join(folder, 'postgres')], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return {
    kill: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve())
        child.kill('SIGKILL')
      }),
  }
}

test('a PostgreSQL whose server was killed is taken over, and brought back when it dies too', async () => {
  const other = await startHolder()
  const pid = postmasterPid()
  await other.kill()
  expect(isAlive(pid)).toBe(true)
  const postgres = await start()
  expect(postmasterPid()).toBe(pid)
  process.kill(pid, 'SIGKILL')
  await expect
    .poll(() => query(postgres.urlOf(), 'select 1 as x').catch(() => undefined), { timeout: 20_000 })
    .toEqual([{ x: 1 }])
  await postgres.stop()
  expect(isAlive(pid)).toBe(false)
})

test('when both were killed the next start recovers', async () => {
  const other = await startHolder()
  const pid = postmasterPid()
  await other.kill()
  process.kill(pid, 'SIGKILL')
  const postgres = await start()
  expect(await query(postgres.urlOf(), 'select 1 as x')).toEqual([{ x: 1 }])
  await postgres.stop()
})

test('a second server is refused, a command is not and leaves it running', async () => {
  const server = await start()
  await expect(start()).rejects.toThrow(/Another process serves from/)
  const command = await start(false)
  expect(await query(command.urlOf(), 'select 1 as x')).toEqual([{ x: 1 }])
  await command.stop()
  expect(await query(server.urlOf(), 'select 1 as x')).toEqual([{ x: 1 }])
  await server.stop()
})

test('a command without a server starts PostgreSQL and stops it', async () => {
  const command = await start(false)
  const pid = postmasterPid()
  await command.stop()
  expect(isAlive(pid)).toBe(false)
})
