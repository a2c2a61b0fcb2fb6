import { chmodSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../storage/embedded-postgres.ts'
import { migrate } from '../storage/migrate.ts'
import { queryOnce, templateDatabase } from './database.ts'
import { findRedisServer, startRedisServer } from './redis.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The URL of a database of the run's PostgreSQL; its name is replaced. */
    postgresUrl: string
    /** The Redis that tests share unless they start their own. */
    redisUrl: string
  }
}

/** One PostgreSQL with a migrated template database, and one Redis, for the whole run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const log = pino({ level: 'silent' })
  // Before anything runs that would be left behind.
  const redisServer = process.env.REDIS_URL === undefined ? await findRedisServer() : undefined
  const folder = mkdtempSync(join(fastestFolder(), 'chappe-test-'))
  chmodSync(folder, 0o755)
  const postgres = await startEmbeddedPostgres({ folder: join(folder, 'pg'), log, exclusive: true, forTests: true })
  const redis = redisServer === undefined ? undefined : await startRedisServer(redisServer, folder)
  await queryOnce(postgres.urlOf('postgres'), `create database ${templateDatabase}`)
  await migrate({
    url: postgres.urlOf(templateDatabase),
    serverNames: [],
    allowUnsafeDurability: true,
    log,
    now: Date.now(),
  })
  project.provide('postgresUrl', postgres.urlOf('postgres'))
  project.provide('redisUrl', process.env.REDIS_URL ?? redis!.url)
  return async () => {
    await redis?.stop()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Memory, where there is plenty of it: copying the template takes a tenth of the time there. */
function fastestFolder(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize > 4 * 1024 ** 3 ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}
