import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { startEmbeddedPostgres } from '../storage/embedded-postgres.ts'
import { DatabaseRefused, migrate } from '../storage/migrate.ts'
import { systemClock } from '../system-clock.ts'
import { makeDataDir } from './data-dir.ts'

/** The database a configuration names, ready for this release. */
export type Deployment = { readonly databaseUrl: string; close(): Promise<void> }

/**
 * Starts the embedded PostgreSQL unless there is another, and migrates.
 *
 * @throws ConfigError, DatabaseRefused, or an Error of one sentence.
 */
export async function openDeployment(
  config: Config,
  log: Logger,
  options: { exclusive: boolean },
): Promise<Deployment> {
  makeDataDir(config.data_dir)
  const embedded =
    config.database.url === undefined
      ? await startEmbeddedPostgres({ folder: join(config.data_dir, 'postgres'), log, ...options })
      : undefined
  const databaseUrl = config.database.url ?? embedded!.urlOf()
  try {
    await migrate({
      url: databaseUrl,
      serverNames: config.server_names,
      allowUnsafeDurability: config.database.allow_unsafe_durability,
      log,
      now: systemClock.now(),
    })
  } catch (error) {
    await embedded?.stop()
    throw embedded === undefined ? connectionError(error) : error
  }
  return { databaseUrl, close: async () => embedded?.stop() }
}

/** The driver's messages may name the host, never the password. */
function connectionError(error: unknown): unknown {
  if (error instanceof DatabaseRefused || !(error instanceof Error)) return error
  const code = (error as NodeJS.ErrnoException).code
  return new Error(`database.url: PostgreSQL cannot be used: ${error.message || code}`)
}
