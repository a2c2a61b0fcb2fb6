import pg from 'pg'
import { pino } from 'pino'
import { expect, inject, test } from 'vitest'
import { createTestDatabase, queryOnce } from '../testing/database.ts'
import { migrate, readMigrations } from './migrate.ts'

const log = pino({ level: 'silent' })

function run(url: string, serverNames: readonly string[], allowUnsafeDurability = true): Promise<void> {
  return migrate({ url, serverNames, allowUnsafeDurability, log, now: 0 })
}

async function rowsOf(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(sql)
  await client.end()
  return rows
}

test('processes that start at once migrate once', async () => {
  const admin = inject('postgresUrl')
  const name = `test_empty_${process.pid}`
  await queryOnce(admin, `create database ${name}`)
  const url = admin.replace('/postgres?', `/${name}?`)
  await Promise.all(Array.from({ length: 5 }, () => run(url, ['a.test'])))
  expect(await rowsOf(url, 'select number from migrations')).toHaveLength(readMigrations().length)
  await queryOnce(admin, `drop database ${name}`)
})

test('a database stays with its server names, and may get more', async () => {
  await using database = await createTestDatabase()
  await run(database.url, ['a.test'])
  await run(database.url, ['b.test', 'a.test'])
  await expect(run(database.url, ['b.test'])).rejects.toThrow(
    'The database belongs to a.test, which server_names does not have (b.test)',
  )
})

test('a database of a newer release, or with another migration, is refused', async () => {
  await using database = await createTestDatabase()
  await queryOnce(database.url, "insert into migrations values (9999, 'future', 'x', 0)")
  await expect(run(database.url, ['a.test'])).rejects.toThrow('used by a newer release (migration 9999')
  await queryOnce(database.url, "delete from migrations where number = 9999; update migrations set checksum = 'x'")
  await expect(run(database.url, ['a.test'])).rejects.toThrow('is not the one this database was made with')
})

test('a PostgreSQL that can lose what it acknowledged is refused', async () => {
  await using database = await createTestDatabase()
  await expect(run(database.url, ['a.test'], false)).rejects.toThrow('PostgreSQL runs with fsync off')
})
