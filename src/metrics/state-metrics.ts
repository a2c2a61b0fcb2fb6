import { Counter, Gauge } from 'prom-client'
import type { Context } from '../context.ts'
import { followerPositions } from '../storage/stream-followers.ts'

/** Milliseconds that the database has to answer a scrape. */
const patience = 2000

type Watched = Pick<Context, 'metrics' | 'database' | 'stream' | 'writer' | 'pushing' | 'mail' | 'applicationServices'>

/** Has what the parts of the context know told at every scrape. That costs one statement; requests cost none. */
export function watchState(ctx: Watched): void {
  watchDatabase(ctx)
  watchStream(ctx)
  watchQueues(ctx)
}

function watchDatabase({ metrics, database }: Watched): void {
  const registers = [metrics.registry]
  const statements = new Counter({
    name: 'chappe_database_statements_total',
    help: 'Statements that were sent to PostgreSQL',
    registers,
  })
  const rows = new Counter({ name: 'chappe_database_rows_total', help: 'Rows that it returned', registers })
  const reads = new Gauge({ name: 'chappe_database_reads_in_progress', help: 'Prepared reads under way', registers })
  const pool = new Gauge({
    name: 'chappe_database_pool',
    help: 'Connections for transactions: busy and idle, and what waits for one',
    labelNames: ['state'],
    registers,
  })
  metrics.onScrape(() => {
    statements.reset()
    statements.inc(database.cost.statements)
    rows.reset()
    rows.inc(database.cost.rows)
    reads.set(database.cost.underWay)
    for (const [state, count] of Object.entries(database.pool())) pool.set({ state }, count)
  })
}

function watchStream({ metrics, database, stream, applicationServices }: Watched): void {
  const registers = [metrics.registry]
  const up = new Gauge({
    name: 'chappe_database_up',
    help: 'Whether PostgreSQL answered this scrape; if not, positions and lags are not told',
    registers,
  })
  const position = new Gauge({ name: 'chappe_stream_position', help: 'Position of the last commit', registers })
  const lag = new Gauge({
    name: 'chappe_stream_lag_positions',
    help: 'Commits of the deployment that this process does not know yet',
    registers,
  })
  const followers = new Gauge({
    name: 'chappe_follower_lag_positions',
    help: 'How far push and application services are behind the stream, for the whole deployment',
    labelNames: ['follower'],
    registers,
  })
  const services = applicationServices.all.map(({ id }) => id)
  metrics.onScrape(async () => {
    for (const gauge of [position, lag, followers]) gauge.reset()
    position.remove()
    lag.remove()
    const found = await inTime(database.read(followerPositions, [services])).catch(() => undefined)
    up.set(found ? 1 : 0)
    for (const row of found ?? []) {
      if (row.follower !== null) {
        followers.set({ follower: row.follower }, row.last - row.position)
        continue
      }
      position.set(row.last)
      lag.set(Math.max(0, row.last - stream.position))
    }
  })
}

function watchQueues({ metrics, writer, pushing, mail }: Watched): void {
  const registers = [metrics.registry]
  const queues = new Gauge({
    name: 'chappe_queue_length',
    help: 'What waits to be done: units of the writer, pushers to be told, mails to be taken',
    labelNames: ['queue'],
    registers,
  })
  metrics.onScrape(() => {
    queues.set({ queue: 'writer' }, writer.waiting)
    queues.set({ queue: 'push' }, pushing.waiting)
    queues.set({ queue: 'mail' }, mail?.waiting ?? 0)
  })
}

async function inTime<Result>(work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('PostgreSQL does not answer')), patience)
    timer.unref()
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
