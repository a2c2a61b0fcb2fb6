import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { Connection } from './connection.ts'
import { nameOfText, type ObserveStatement } from './observe.ts'
import type { Tables } from './tables.ts'

/** Where queries run: the pool, or an open transaction. */
export type Db = Kysely<Tables>
/** An open transaction; only the domain that started it ends it. */
export type Tx = import('kysely').Transaction<Tables>

/**
 * A statement that is prepared once per connection. `name` must be unique in the program.
 */
export type Statement<Row> = { readonly name: string; readonly text: string; readonly __row?: Row }

export type Database = {
  readonly db: Db
  /** Runs a prepared statement on a pipelined connection: for short, frequent reads. */
  read<Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]>
  /** Runs statements in one transaction on a connection of the pool; rolled back when `work` throws. */
  transaction<Result>(work: (query: Query) => Promise<Result>): Promise<Result>
  /** A connection of one's own, outside the pool. The caller ends it. */
  connect(): Promise<Connection>
  /** What ran so far, for the tests that hold the budgets: statements sent and rows returned, and reads under way. */
  readonly cost: { statements: number; rows: number; underWay: number; log: string[] | undefined }
  /** Told of each statement; undefined where nobody wants to know. */
  readonly observe: ObserveStatement | undefined
  /** The connections for transactions: busy, idle, and how many callers wait for one. */
  pool(): { readonly busy: number; readonly idle: number; readonly waiting: number }
  close(): Promise<void>
}

export type Query = <Row>(text: string, values: readonly unknown[]) => Promise<Row[]>

/** Declares a prepared statement and the shape of its rows. */
export function statement<Row>(name: string, text: string): Statement<Row> {
  return { name, text }
}

/** SQLSTATE classes: connection, rollback, resources, intervention, system. */
const passing = /^(08|40|53|57|58)/
const socketErrors = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE'])

/** Whether PostgreSQL could not do something now, and may be able to later: not where it was given something wrong. */
export function isPassing(error: unknown): boolean {
  const { code, message } = error instanceof Error ? (error as Error & { code?: unknown }) : {}
  if (typeof code === 'string') return socketErrors.has(code) || (code.length === 5 && passing.test(code))
  return message !== undefined && /^(Connection terminated|Client has encountered a connection error)/.test(message)
}

// Positions, nids and timestamps stay below 2⁵³, so int8 is read as a number, alone and in arrays.
const int8 = 20
const int8Array = 1016
pg.types.setTypeParser(int8, Number)
const parseTextArray = pg.types.getTypeParser(1009 as number) as (text: string) => string[]
pg.types.setTypeParser(int8Array as number, (text: string) => parseTextArray(text).map(Number))

const pipelinedConnections = 2
const pooledConnections = 8

/**
 * Opens the connections to PostgreSQL.
 *
 * @throws when the database cannot be reached.
 */
export async function openDatabase(options: {
  url: string
  onError?: (error: Error) => void
  observe?: ObserveStatement | undefined
}): Promise<Database> {
  const cost = { statements: 0, rows: 0, underWay: 0, log: undefined as string[] | undefined }
  const count = (text: string, rows: number): void => {
    cost.statements++
    cost.rows += rows
    cost.log?.push(text)
  }
  const { observe, onError = () => {} } = options
  const pool = new pg.Pool({ connectionString: options.url, max: pooledConnections })
  pool.on('error', onError)

  const pipelines: Pipeline[] = []
  for (let index = 0; index < pipelinedConnections; index++) {
    pipelines.push(createPipeline(options.url, onError))
  }
  const probe = await pool.connect()
  probe.release()

  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: (event) => {
      if (event.level === 'query') count(event.query.sql, 0)
      observe?.({
        name: nameOfText(event.query.sql),
        started: performance.now() - event.queryDurationMillis,
        rows: undefined,
        hasFailed: event.level === 'error',
      })
    },
  })

  let next = 0
  return {
    db,
    cost,
    observe,
    async read<Row>(prepared: Statement<Row>, values: readonly unknown[]): Promise<Row[]> {
      next = (next + 1) % pipelines.length
      cost.underWay++
      try {
        const client = await pipelines[next]!.client()
        const query = { name: prepared.name, text: prepared.text, values: values as unknown[] }
        const result = await observed(observe, prepared.name, client.query(query))
        count(prepared.text, result.rows.length)
        return result.rows as Row[]
      } finally {
        cost.underWay--
      }
    },
    async transaction(work) {
      const client = await pool.connect()
      const query: Query = async <Row>(text: string, values: readonly unknown[]) => {
        const result = await observed(observe, nameOfText(text), client.query(text, values as unknown[]))
        count(text, result.rows.length)
        return result.rows as Row[]
      }
      let broken: Error | undefined
      try {
        await client.query('begin')
        const result = await work(query)
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback').catch((failure: Error) => {
          broken = failure
        })
        throw error
      } finally {
        client.release(broken)
      }
    },
    async connect() {
      const client = new Connection(options.url)
      client.on('error', onError)
      await client.connect()
      return client
    },
    pool: () => ({ busy: pool.totalCount - pool.idleCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    async close() {
      await Promise.all(pipelines.map((pipeline) => pipeline.end()))
      await db.destroy()
      // Kysely ends a pool only once it has used it.
      if (!pool.ended) await pool.end()
    },
  }
}

/** Has it said how a statement went that was sent just now. */
export function observed(
  observe: ObserveStatement | undefined,
  name: string,
  running: Promise<pg.QueryResult>,
): Promise<pg.QueryResult> {
  if (observe === undefined) return running
  const started = performance.now()
  return running.then(
    (result) => {
      observe({ name, started, rows: result.rows.length, hasFailed: false })
      return result
    },
    (error: unknown) => {
      observe({ name, started, rows: undefined, hasFailed: true })
      throw error
    },
  )
}

type Pipeline = { client(): Promise<pg.Client>; end(): Promise<void> }

/** One pipelined connection, opened again on the next use after it broke. */
function createPipeline(url: string, onError: (error: Error) => void): Pipeline {
  let current: Promise<pg.Client> | undefined
  let ended = false
  const open = async (): Promise<pg.Client> => {
    const client = new Connection(url)
    const forget = (): void => {
      current = undefined
    }
    client.on('error', (error) => {
      forget()
      if (!ended) onError(error)
    })
    client.on('end', forget)
    try {
      await client.connect()
    } catch (error) {
      forget()
      throw error
    }
    return client
  }
  return {
    client: () => (current ??= open()),
    async end() {
      ended = true
      const client = await current?.catch(() => undefined)
      await client?.end()
    },
  }
}
