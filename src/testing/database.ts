import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'

export const templateDatabase = 'chappe_template'

export type TestDatabase = {
  readonly url: string
  [Symbol.asyncDispose](): Promise<void>
}

/** A database of the test's own, cloned from the migrated template; dropped at the end of the block. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const admin = inject('postgresUrl')
  const name = `test_${randomBytes(8).toString('hex')}`
  await queryOnce(admin, `create database ${name} template ${templateDatabase} strategy file_copy`)
  return {
    url: admin.replace('/postgres?', `/${name}?`),
    async [Symbol.asyncDispose]() {
      await queryOnce(admin, `drop database if exists ${name} with (force)`)
    },
  }
}

export async function queryOnce(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
