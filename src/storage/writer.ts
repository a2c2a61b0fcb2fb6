import { AsyncLocalStorage } from 'node:async_hooks'
import type pg from 'pg'
import type { Connection, Grouped, Scalar } from './connection.ts'
import { type Database, observed } from './database.ts'
import type { ObserveBatch } from './observe.ts'

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

export type Unit<Result> = {
  /** How many positions of the stream it takes. */
  readonly positions: number
  /** The room it changes and the version it was built on; the version rises by one. */
  readonly room?: { readonly room: number; readonly seen: number; readonly lineage: Lineage }
  /**
   * Says what to write, once its positions are known: `first` to `first + positions - 1`. Synchronous. Called again if
   * the batch has to be written again.
   */
  write(batch: Batch, first: number): Result
}

/**
 * What units of one room are built on each other in. Once one of them could not be committed the writer sets `failed`, and
 * commits none of the later ones.
 */
export type Lineage = { failed: boolean }

/** Not committed: another process wrote to the room first, or what the unit was built on failed, so it has to be built
 * again on the room as it is now. */
export type Outcome<Result> = { readonly committed: true; readonly result: Result } | { readonly committed: false }

/** A statement that takes any number of rows as arrays, one for each column. */
export type Operation<Row> = {
  readonly name: string
  readonly text: string
  readonly columns: readonly (keyof Row & string)[]
  /** Where set, a later row of a batch replaces an earlier one with the same key. */
  readonly key: ((row: Row) => string) | undefined
}

/** What a unit adds its rows to. */
export type Batch = {
  add<Row>(operation: Operation<Row>, row: Row): void
  /** What a room is from now on, beside its version. */
  saveRoom(room: number, saved: SavedRoom): void
  /** Something that followers of the stream learn after the commit. */
  fact(fact: unknown): void
}

/** The counters and extremities of a room as its last event in the batch left them. */
export type SavedRoom = {
  /** As `arrayText` of their numbers. */
  readonly extremities: string
  readonly notifyCount: number
  readonly highlightCount: number
  readonly joinedMembers: number
  readonly invitedMembers: number
  readonly depth: number
}

/**
 * Declares an operation. `columns` gives the PostgreSQL type of each; `text` has `$rows` where the rows stand as a
 * relation named r.
 */
export function operation<Row>(
  name: string,
  columns: { readonly [Column in keyof Row & string]: string },
  text: string,
  key?: (row: Row) => string,
): Operation<Row> {
  const names = Object.keys(columns) as (keyof Row & string)[]
  const parameters = names.map((column, index) => {
    const type = columns[column]
    // unnest would flatten arrays of arrays, so they travel as text.
    return `$${index + 1}::${type.endsWith('[]') ? 'text' : type}[]`
  })
  const selected = names.map((column) => (columns[column].endsWith('[]') ? `${column}::${columns[column]}` : column))
  const rows = `(select ${selected.join(', ')} from unnest(${parameters.join(', ')}) as u(${names.join(', ')})) as r`
  return { name, text: text.replace('$rows', () => rows), columns: names, key }
}

/** Declares a plain insert of rows. `tail` is what follows, such as an `on conflict` clause. */
export function insertInto<Row>(
  table: string,
  columns: { readonly [Column in keyof Row & string]: string },
  options: { tail?: string; key?: (row: Row) => string } = {},
): Operation<Row> {
  const names = Object.keys(columns).join(', ')
  const text = `insert into ${table} (${names}) select ${names} from $rows ${options.tail ?? ''}`
  return operation(`insert ${table}`, columns, text, options.key)
}

/** Writing arrays of bigint[]: the text form of a PostgreSQL array. */
export function arrayText(numbers: readonly number[]): string {
  return `{${numbers.join(',')}}`
}

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

/**
 * Every room must still have the version that its units were built on. Where nothing but the version changes, the rest is
 * null.
 */
export const saveRooms = operation<{
  room: number
  seen: number
  version: number
  extremities: string | null
  notify_count: number | null
  highlight_count: number | null
  joined_members: number | null
  invited_members: number | null
  depth: number | null
}>(
  'save rooms',
  {
    room: 'int4',
    seen: 'int8',
    version: 'int8',
    extremities: 'int8[]',
    notify_count: 'int4',
    highlight_count: 'int4',
    joined_members: 'int4',
    invited_members: 'int4',
    depth: 'int8',
  },
  `with saved as (
     update rooms set version = r.version,
       extremities = coalesce(r.extremities, rooms.extremities),
       notify_count = coalesce(r.notify_count, rooms.notify_count),
       highlight_count = coalesce(r.highlight_count, rooms.highlight_count),
       joined_members = coalesce(r.joined_members, rooms.joined_members),
       invited_members = coalesce(r.invited_members, rooms.invited_members),
       depth = coalesce(r.depth, rooms.depth)
     from $rows where rooms.room = r.room and rooms.version = r.seen
     returning 1)
   select 1 / (case when count(*) = cardinality($1::int4[]) then 1 else 0 end) from saved`,
)

type Pending = {
  readonly unit: Unit<unknown>
  readonly handedIn: number
  /** What it is handed in for, where somebody watches. */
  readonly origin: unknown
  resolve(outcome: Outcome<unknown>): void
  reject(error: unknown): void
}

type Rows = { readonly columns: Scalar[][]; readonly places: Map<string, number> | undefined }

class CollectedBatch implements Batch {
  readonly rows = new Map<Operation<never>, Rows>()
  readonly rooms = new Map<number, SavedRoom>()
  readonly facts: unknown[] = []

  add<Row>(operation: Operation<Row>, row: Row): void {
    let rows = this.rows.get(operation as Operation<never>)
    if (!rows) {
      rows = { columns: operation.columns.map(() => []), places: operation.key && new Map() }
      this.rows.set(operation as Operation<never>, rows)
    }
    let place = rows.columns[0]!.length
    if (operation.key && rows.places) {
      const key = operation.key(row)
      place = rows.places.get(key) ?? place
      rows.places.set(key, place)
    }
    for (let index = 0; index < operation.columns.length; index++) {
      rows.columns[index]![place] = row[operation.columns[index]!] as Scalar
    }
  }

  saveRoom(room: number, saved: SavedRoom): void {
    this.rooms.set(room, saved)
  }

  fact(fact: unknown): void {
    this.facts.push(fact)
  }
}

/** What was committed: the positions from `first` to `last`, and what to tell the followers. */
export type Commit = { readonly first: number; readonly last: number; readonly facts: readonly unknown[] }

type Written = { readonly commit: Commit; readonly results: readonly unknown[] }

type Collected = { readonly batch: CollectedBatch; readonly results: readonly unknown[] }

/** What units have to write, the first of them from a position on. */
function collect(units: readonly Pending[], first: number): Collected {
  const batch = new CollectedBatch()
  const versions = new Map<number, { seen: number; version: number }>()
  let position = first
  const results = units.map(({ unit }) => {
    const result = unit.write(batch, position)
    position += unit.positions
    if (unit.room) {
      const { room, seen } = unit.room
      versions.set(room, { seen: versions.get(room)?.seen ?? seen, version: seen + 1 })
    }
    return result
  })
  for (const room of batch.rooms.keys()) if (!versions.has(room)) versions.set(room, newRoom)
  for (const [room, { seen, version }] of versions) {
    const saved = batch.rooms.get(room)
    batch.add(saveRooms, {
      room,
      seen,
      version,
      extremities: saved?.extremities ?? null,
      notify_count: saved?.notifyCount ?? null,
      highlight_count: saved?.highlightCount ?? null,
      joined_members: saved?.joinedMembers ?? null,
      invited_members: saved?.invitedMembers ?? null,
      depth: saved?.depth ?? null,
    })
  }
  return { batch, results }
}

/** As it is inserted. */
const newRoom = { seen: 1, version: 1 }

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
    const { batch, results } = collect(units, first)
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
