import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts'

export type BenchDatabase = {
  readonly url: string
  readonly pid: number
  /** After a checkpoint, with dead rows still in it. */
  bytes(): Promise<number>
  stop(): Promise<void>
}

/** A PostgreSQL of its own, the one that comes with the program and with its settings: every commit is on disk. */
export async function startDatabase(folder: string, connections: number): Promise<BenchDatabase> {
  const log = pino({ level: 'error' })
  const postgres = await startEmbeddedPostgres({ folder, log, exclusive: true, connections })
  const url = postgres.urlOf()
  return {
    url,
    pid: Number(readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]),
    async bytes() {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        await client.query('checkpoint')
        const { rows } = await client.query('select pg_database_size(current_database()) as bytes')
        return Number(rows[0].bytes)
      } finally {
        await client.end()
      }
    },
    stop: () => postgres.stop(),
  }
}
