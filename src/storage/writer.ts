import { AsyncLocalStorage } from 'node:async_hooks'
import type pg from 'pg'
import { collect, type Unit } from './batch.ts'
import type { Connection, Grouped } from './connection.ts'
import { type Database, observed } from './database.ts'
import type { ObserveBatch } from './observe.ts'
import type { Operation } from './operation.ts'

/**
 * The one path by which a process writes what clients and peers can be told about later: docs/architecture.md, "The
 * writer". Callers hand in a unit of work and await its commit; while one batch commits, the next gathers.
 */
export type Writer = {
  /**
   * Writes a unit and resolves when it is on disk, or could not be written because something moved.
   *
   * @throws when the database refused the unit or the outcome of its commit is unknown.
   */
  write<Result>(unit: Unit<Result>): Promise<Outcome<Result>>
  /** Resolves when everything handed in so far has ended. */
  drain(): Promise<void>
  /** Units that wait for their batch. */
  readonly waiting: number
  close(): Promise<void>
}

/** Not committed: another process wrote to the room first, or what the unit was built on failed, so it has to be built
 * again on the room as it is now. */
export type Outcome<Result> = { readonly committed: true; readonly result: Result } | { readonly committed: false }

const largestBatch = 512

/** Batches in a row that found the stream where this process had left it, before it relies on that. */
const undisturbedBatches = 3

const advanceStream = {
  name: 'advance stream',
  text: 'update stream set position = position + $1 returning position',
}

const roomsMoved = '22012' // division_by_zero, raised by `saveRooms`
const streamMoved = '2201F' // invalid_argument_for_power_function, raised by `claimPositions`

// An error fails the transaction, and with it the commit that is already under way behind it.
const claimPositions = {
  name: 'claim positions',
  text: `with advanced as (update stream set position = position + $1 where position = $2 returning 1)
    select sqrt(count(*) - 1) from advanced`,
}

type Pending = {
  readonly unit: Unit<unknown>
  readonly handedIn: number
  /** What it is handed in for, where somebody watches. */
  readonly origin: unknown
  resolve(outcome: Outcome<unknown>): void
  reject(error: unknown): void
}

/** What was committed: the positions from `first` to `last`, and what to tell the followers. */
export type Commit = { readonly first: number; readonly last: number; readonly facts: readonly unknown[] }

type Written = { readonly commit: Commit; readonly results: readonly unknown[] }

/**
 * @param options.order The operations in the order in which a batch runs them.
 * @param options.onCommit Called after each commit, in order, before the units' promises resolve.
 */
export async function createWriter(
  database: Pick<Database, 'connect' | 'cost' | 'observe'>,
  options: {
    order: readonly Operation<never>[]
    onCommit(commit: Commit): void
    onError?(error: unknown): void
    /** Who watches: told of every batch, and how long each of its units waited for it. */
    watch?: { wrote(batch: { units: number; seconds: number }): void; waited(seconds: number): void }
    /** Who is told what each batch is for, and surrounds it. */
    observe?: ObserveBatch<unknown> | undefined
  },
): Promise<Writer> {
  let connection: Connection | undefined
  let queue: Pending[] = []
  let running: Promise<void> | undefined
  let closed = false
  // What is done for all is not done in the course of the request that came first, for the log.
  const ofNobody = AsyncLocalStorage.snapshot()

  // Where this process left the stream, and how many batches in a row have found it there.
  let left = 0
  let undisturbed = 0

  const connected = async (): Promise<Connection> => {
    if (connection) return connection
    const opened = await database.connect()
    const forget = (): void => {
      if (connection === opened) connection = undefined
    }
    opened.on('error', forget)
    opened.on('end', forget)
    connection = opened
    return opened
  }

  const query = (
    client: Connection,
    { name, text }: { name: string; text: string },
    values: unknown[],
  ): Promise<pg.QueryResult> => {
    database.cost.statements++
    database.cost.log?.push(text)
    return observed(database.observe, name, client.query({ name, text, values }))
  }

  /** Runs statements in one round, and says how each of them went. */
  const runGroup = async (client: Connection, statements: readonly Grouped[]): Promise<void> => {
    const started = performance.now()
    const tell = (hasFailed: boolean): void => {
      for (const { name } of statements) database.observe?.({ name, started, rows: undefined, hasFailed })
    }
    database.cost.statements += statements.length
    database.cost.log?.push(...statements.map(({ text }) => text))
    try {
      await client.group(statements)
    } catch (error) {
      tell(true)
      throw error
    }
    tell(false)
  }

  /** Writes units in one transaction. Their order is kept. */
  const commit = async (units: readonly Pending[]): Promise<Written | 'moved'> => {
    const client = await connected()
    let positions = 0
    for (const { unit } of units) positions += unit.positions
    if (undisturbed >= undisturbedBatches) {
      try {
        // Outside a transaction the group is one.
        const claim = { ...claimPositions, values: [positions, left] }
        return await writeAt(client, units, { first: left + 1, last: left + positions, claim })
      } catch (error) {
        const { code } = error as { code?: string }
        if (code === roomsMoved) return 'moved'
        if (code !== streamMoved) throw error
        undisturbed = 0
      }
    }
    try {
      const [, { rows }] = await Promise.all([client.query('begin'), query(client, advanceStream, [positions])])
      const last = rows[0].position as number
      undisturbed = last - positions === left ? undisturbed + 1 : 0
      return await writeAt(client, units, { first: last - positions + 1, last })
    } catch (error) {
      await client.query('rollback').catch(() => {})
      if ((error as { code?: string }).code === roomsMoved) return 'moved'
      throw error
    }
  }

  /** @param place.claim Where the positions are not ours yet, and no transaction is open. */
  const writeAt = async (
    client: Connection,
    units: readonly Pending[],
    { first, last, claim }: { first: number; last: number; claim?: Grouped },
  ): Promise<Written> => {
    const { batch, results } = collect(
      units.map(({ unit }) => unit),
      first,
    )
    const statements: Grouped[] = claim ? [claim] : []
    for (const operation of options.order) {
      const rows = batch.rows.get(operation)
      if (rows) statements.push({ name: operation.name, text: operation.text, values: rows.columns })
    }
    if (statements.length < batch.rows.size + (claim ? 1 : 0)) throw new Error('an operation is missing from the order')
    const running = runGroup(client, statements)
    // A failed transaction answers COMMIT with ROLLBACK.
    await (claim ? running : Promise.all([running, client.query('commit')]))
    left = last
    return { commit: { first, last, facts: batch.facts }, results }
  }

  const finish = (units: readonly Pending[], done: Written): void => {
    // What follows from it is not done in its course: it can go on for as long as the process does.
    ofNobody(() => options.onCommit(done.commit))
    for (let index = 0; index < units.length; index++) {
      units[index]!.resolve({ committed: true, result: done.results[index] })
    }
  }

  const fail = (pending: Pending, error?: unknown): void => {
    if (pending.unit.room) pending.unit.room.lineage.failed = true
    if (error === undefined) {
      pending.resolve({ committed: false })
      return
    }
    options.onError?.(error)
    pending.reject(error)
  }

  /** Those whose room still is what they were built on; the others are told. */
  const stillBuilt = (units: readonly Pending[]): Pending[] =>
    units.filter((pending) => {
      if (!pending.unit.room?.lineage.failed) return true
      fail(pending)
      return false
    })

  /** Writes units of one room, or one unit without a room; when they fail together, one after the other. */
  const writeGroup = async (units: readonly Pending[]): Promise<void> => {
    const alive = stillBuilt(units)
    if (alive.length === 0) return
    let done: Awaited<ReturnType<typeof commit>>
    try {
      done = await commit(alive)
    } catch (error) {
      // Without a connection nobody knows whether the commit happened: only the caller, who has a transaction id, may retry.
      if (alive.length === 1 || !connection) for (const pending of alive) fail(pending, error)
      else for (const pending of alive) await writeGroup([pending])
      return
    }
    if (done === 'moved') for (const pending of alive) fail(pending)
    else finish(alive, done)
  }

  /**
   * A batch that fails is written again room by room, so that one room that moved, or one unit the database refuses, costs
   * the others nothing.
   */
  const writeBatch = async (units: readonly Pending[]): Promise<void> => {
    const started = performance.now()
    for (const { handedIn } of units) options.watch?.waited((started - handedIn) / 1000)
    const alive = stillBuilt(units)
    const groups = groupByRoom(alive)
    if (groups.length === 1) {
      await writeGroup(alive)
    } else if (groups.length > 1) {
      const done = await commit(alive).catch((error: unknown) => {
        if (!connection) for (const pending of alive) fail(pending, error)
        return connection ? ('moved' as const) : undefined
      })
      if (done === 'moved') for (const group of groups) await writeGroup(group)
      else if (done) finish(alive, done)
    }
    options.watch?.wrote({ units: units.length, seconds: (performance.now() - started) / 1000 })
  }

  const run = async (): Promise<void> => {
    while (queue.length > 0) {
      const units = queue.length > largestBatch ? queue.slice(0, largestBatch) : queue
      queue = queue.length > largestBatch ? queue.slice(largestBatch) : []
      await (options.observe
        ? options.observe.during(originsOf(units), units.length, () => writeBatch(units))
        : writeBatch(units))
    }
    running = undefined
  }

  await connected()
  return {
    write<Result>(unit: Unit<Result>) {
      if (closed) return Promise.reject(new Error('the writer is closed'))
      return new Promise<Outcome<Result>>((resolve, reject) => {
        const origin = options.observe?.origin()
        queue.push({ unit, handedIn: performance.now(), origin, resolve: resolve as Pending['resolve'], reject })
        // Deferred by a microtask turn of the event loop, so that requests read in the same turn share the batch.
        running ??= new Promise<void>((start) => setImmediate(start)).then(() => ofNobody(run))
      })
    },
    get waiting() {
      return queue.length
    },
    async drain() {
      while (running) await running
    },
    async close() {
      closed = true
      while (running) await running
      await connection?.end()
    },
  }
}

function originsOf(units: readonly Pending[]): unknown[] {
  return [...new Set(units.flatMap(({ origin }) => origin ?? []))]
}

function groupByRoom(units: readonly Pending[]): Pending[][] {
  const rooms = new Map<number, Pending[]>()
  const groups: Pending[][] = []
  for (const pending of units) {
    const room = pending.unit.room?.room
    const group = room === undefined ? undefined : rooms.get(room)
    if (group) {
      group.push(pending)
      continue
    }
    const opened = [pending]
    if (room !== undefined) rooms.set(room, opened)
    groups.push(opened)
  }
  return groups
}
