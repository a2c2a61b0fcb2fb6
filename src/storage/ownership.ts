import type pg from 'pg'
import type { Logger } from 'pino'
import type { Database } from './database.ts'

/**
 * What only one process of a deployment may do at a time. Each thing is an advisory lock of a connection of its own, so
 * that PostgreSQL gives it to another process as soon as this one is gone, however it went.
 */
export type Ownership = {
  /**
   * Calls `begin` each time this process comes to own `name`. `lost` is aborted when it does no longer.
   */
  claim(name: string, begin: (lost: AbortSignal) => void): void
  /** Gives everything back. Whoever owns something has ended it before. */
  close(): Promise<void>
}

/** Milliseconds between two attempts to own what another process has, and between two looks at the connection. */
const retryEvery = 1000

/** The advisory lock that stands for what is owned by a name, which is an expression of SQL. */
export function ownedLock(name: string): string {
  return `hashtextextended('chappe owns ' || ${name}, 0)`
}

const lockStatement = `select name from unnest($1::text[]) as name where pg_try_advisory_lock(${ownedLock('name')})`

type Claim = { readonly begin: (lost: AbortSignal) => void; held: AbortController | undefined }

export function createOwnership(database: Pick<Database, 'connect'>, log: Logger): Ownership {
  const claims = new Map<string, Claim>()
  let connection: pg.Client | undefined
  let trying: Promise<void> | undefined
  let closed = false

  const loseAll = (lost: pg.Client): void => {
    if (connection !== lost) return
    connection = undefined
    for (const claim of claims.values()) {
      claim.held?.abort()
      claim.held = undefined
    }
  }

  const connected = async (): Promise<pg.Client> => {
    if (connection) return connection
    const opened = await database.connect()
    opened.on('error', () => loseAll(opened))
    opened.on('end', () => loseAll(opened))
    connection = opened
    return opened
  }

  const attempt = async (): Promise<void> => {
    if (claims.size === 0) return
    const client = await connected()
    const wanted = [...claims].filter(([, claim]) => !claim.held).map(([name]) => name)
    // Also without anything to ask for: a connection that is broken must be noticed.
    const { rows } = await client.query<{ name: string }>(lockStatement, [wanted])
    for (const { name } of rows) {
      const claim = claims.get(name)!
      claim.held = new AbortController()
      if (closed) return
      claim.begin(claim.held.signal)
    }
  }

  const tryAll = (): void => {
    if (closed) return
    trying ??= attempt()
      .catch((error: unknown) => log.warn({ err: error }, 'What one process does at a time cannot be claimed'))
      .finally(() => {
        trying = undefined
      })
  }

  const timer = setInterval(tryAll, retryEvery)
  timer.unref()

  return {
    claim(name, begin) {
      claims.set(name, { begin, held: undefined })
      setImmediate(tryAll)
    },
    async close() {
      closed = true
      clearInterval(timer)
      await trying
      const last = connection
      if (last) loseAll(last)
      await last?.end()
    },
  }
}
