import type { Scalar } from './connection.ts'
import { type Operation, operation } from './operation.ts'

/** What is written in one piece: all of it or nothing. */
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

type Collected = { readonly batch: CollectedBatch; readonly results: readonly unknown[] }

/** What units have to write, the first of them from a position on. */
export function collect(units: readonly Unit<unknown>[], first: number): Collected {
  const batch = new CollectedBatch()
  const versions = new Map<number, { seen: number; version: number }>()
  let position = first
  const results = units.map((unit) => {
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
