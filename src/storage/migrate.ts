import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import type { Logger } from 'pino'

/** The database cannot be used by this configuration or release. One sentence. */
export class DatabaseRefused extends Error {
  override readonly name = 'DatabaseRefused'
}

type Migration = { readonly number: number; readonly name: string; readonly sql: string; readonly checksum: string }

/** Any number, the same in every release. */
const migrationLock = 4_011_793

const migrationsFolder = join(import.meta.dirname, '..', '..', 'migrations')

/**
 * Brings the database to this release and checks that it may be used: that it is not newer, that it belongs to these
 * server names, that what it acknowledges is on disk. Processes that start at once wait for one another here.
 *
 * @throws DatabaseRefused; what `pg` throws when the database cannot be reached.
 */
export async function migrate(options: {
  url: string
  serverNames: readonly string[]
  allowUnsafeDurability: boolean
  log: Logger
  now: number
}): Promise<void> {
  const client = new pg.Client({ connectionString: options.url })
  client.on('error', () => {})
  await client.connect()
  try {
    await checkVersion(client)
    await checkDurability(client, options.allowUnsafeDurability)
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    await applyMigrations(client, options)
    await claim(client, options.serverNames)
  } finally {
    await client.end()
  }
}

/** The migrations of this release in their order. A file's name is its number and what it does. */
export function readMigrations(folder: string = migrationsFolder): Migration[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.sql'))
  const migrations = files.map((file) => {
    const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file)
    if (match === null) throw new Error(`Not a migration's name: ${file}`)
    const sql = readFileSync(join(folder, file), 'utf8')
    return { number: Number(match[1]), name: match[2]!, sql, checksum: createHash('sha256').update(sql).digest('hex') }
  })
  migrations.sort((a, b) => a.number - b.number)
  const twice = migrations.find((migration, index) => migration.number === migrations[index + 1]?.number)
  if (twice !== undefined) throw new Error(`Two migrations have the number ${twice.number}`)
  return migrations
}

async function checkVersion(client: pg.Client): Promise<void> {
  const version = Number(await show(client, 'server_version_num'))
  if (version < 150_000) throw new DatabaseRefused('PostgreSQL 15 or later is needed')
  const encoding = await show(client, 'server_encoding')
  if (encoding !== 'UTF8') throw new DatabaseRefused(`The database must be encoded in UTF8, not ${encoding}`)
}

async function checkDurability(client: pg.Client, allowUnsafe: boolean): Promise<void> {
  if (allowUnsafe) return
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    if ((await show(client, setting)) === 'off') {
      throw new DatabaseRefused(
        `PostgreSQL runs with ${setting} off, so what was acknowledged can be lost: turn it on, or set database.allow_unsafe_durability`,
      )
    }
  }
}

async function show(client: pg.Client, setting: string): Promise<string> {
  const { rows } = await client.query('select current_setting($1) as value', [setting])
  return rows[0].value as string
}

async function applyMigrations(client: pg.Client, options: { log: Logger; now: number }): Promise<void> {
  await client.query(
    `create table if not exists migrations (
       number integer primary key, name text not null, checksum text not null, applied_at bigint not null
     )`,
  )
  const { rows } = await client.query('select number, name, checksum from migrations order by number')
  const applied = new Map(rows.map((row) => [row.number as number, row as { name: string; checksum: string }]))
  const migrations = readMigrations()
  const newest = migrations.at(-1)?.number ?? 0
  for (const number of applied.keys()) {
    if (number > newest) {
      throw new DatabaseRefused(
        `The database was used by a newer release (migration ${number}, this one has ${newest})`,
      )
    }
  }
  for (const migration of migrations) {
    const before = applied.get(migration.number)
    if (before === undefined) await apply(client, migration, options)
    else if (before.checksum !== migration.checksum) {
      throw new DatabaseRefused(
        `Migration ${migration.number} (${before.name}) is not the one this database was made with`,
      )
    }
  }
}

async function apply(client: pg.Client, migration: Migration, options: { log: Logger; now: number }): Promise<void> {
  await client.query('begin')
  try {
    await client.query(migration.sql)
    await client.query('insert into migrations (number, name, checksum, applied_at) values ($1, $2, $3, $4)', [
      migration.number,
      migration.name,
      migration.checksum,
      options.now,
    ])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
  options.log.info({ migration: migration.number, name: migration.name }, 'Migrated')
}

/** A database serves the names it began with: its users and rooms are theirs. Names may be added. */
async function claim(client: pg.Client, serverNames: readonly string[]): Promise<void> {
  await client.query('create table if not exists deployment (server_name text primary key)')
  const { rows } = await client.query('select server_name from deployment order by server_name')
  const missing = rows.map((row) => row.server_name as string).filter((name) => !serverNames.includes(name))
  if (missing.length > 0) {
    throw new DatabaseRefused(
      `The database belongs to ${missing.join(', ')}, which server_names does not have (${serverNames.join(', ')})`,
    )
  }
  await client.query('insert into deployment select unnest($1::text[]) on conflict do nothing', [serverNames])
}
