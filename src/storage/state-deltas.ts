import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { upTo } from './caches.ts'
import { type Database, statement } from './database.ts'
import { arrayText } from './operation.ts'
import { lastStateChange } from './room-state.ts'

/**
 * A state of a room on a fork: its resolved state as it was at a position, but for some keys. `entries` are event
 * numbers by kind; 0: the key is absent.
 */
export type StateDelta = { readonly base: number; readonly entries: ReadonlyMap<number, number> }

type Row = { state_delta: number; base_position: number; kinds: number[]; event_nids: number[] }

const selectDeltas = statement<Row>(
  'state deltas',
  'select state_delta, base_position, kinds, event_nids from state_deltas where state_delta = any($1::int8[])',
)
const insertDelta = statement<{ state_delta: number }>(
  'insert state delta',
  `insert into state_deltas (room, base_position, kinds, event_nids, digest)
   values ($1, $2, $3::int[], $4::int8[], $5) on conflict do nothing returning state_delta`,
)
const selectDelta = statement<{ state_delta: number }>(
  'state delta by digest',
  'select state_delta from state_deltas where room = $1 and digest = $2',
)

/** One statement. */
export async function loadStateDeltas(
  database: Pick<Database, 'read'>,
  ids: readonly number[],
): Promise<Map<number, StateDelta>> {
  if (ids.length === 0) return new Map()
  const rows = await database.read(selectDeltas, [ids])
  return new Map(
    rows.map((row) => {
      const entries = new Map(row.kinds.map((kind, index) => [kind, row.event_nids[index]!]))
      return [row.state_delta, { base: row.base_position, entries }]
    }),
  )
}

/** The numbers of deltas, with those used lately in memory. */
export type StateDeltaIds = { idOf(room: { readonly room: number }, delta: StateDelta): Promise<number> }

const cachedIds = 20_000

export function createStateDeltaIds(database: Pick<Database, 'read'>): StateDeltaIds {
  const ids = new LRUCache<string, number>(upTo(cachedIds))
  return {
    async idOf({ room }, delta) {
      const key = digestOf(delta, `${room} ${delta.base}`).toString('base64')
      const known = ids.get(key) ?? (await internStateDelta(database, room, delta))
      ids.set(key, known)
      return known
    },
  }
}

function digestOf({ entries }: StateDelta, prefix: string): Buffer {
  const sorted = [...entries].sort(([one], [other]) => one - other)
  return createHash('sha256')
    .update(`${prefix} ${sorted.join(' ')}`)
    .digest()
}

/** The number of a delta; equal ones of a room share it. A delta that no event comes to use does no harm. */
async function internStateDelta(database: Pick<Database, 'read'>, room: number, delta: StateDelta): Promise<number> {
  // The state is the same at every position until the next change, so all of them count as one.
  const [last] = await database.read(lastStateChange, [room, delta.base])
  const base = last?.from_position ?? 0
  const kinds = [...delta.entries.keys()].sort((a, b) => a - b)
  const nids = kinds.map((kind) => delta.entries.get(kind)!)
  const digest = digestOf(delta, String(base))
  const [inserted] = await database.read(insertDelta, [room, base, arrayText(kinds), arrayText(nids), digest])
  if (inserted) return inserted.state_delta
  const [known] = await database.read(selectDelta, [room, digest])
  return known!.state_delta
}
