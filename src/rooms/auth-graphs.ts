import { AuthGraph } from '../matrix/state-res/auth-graph.ts'
import type { Caches } from '../storage/caches.ts'
import type { Database } from '../storage/database.ts'
import type { Dictionaries } from '../storage/dictionaries.ts'
import { decodeEdges } from '../storage/event-codec.ts'
import { stateEventEdges } from '../storage/event-graph.ts'
import type { EventRef, HotRoom } from './hot-room.ts'

/** The graphs of the rooms in which states diverged lately. */
export type AuthGraphs = {
  /** The graph of all state events of a room that are in the database. A known one costs what came since. The room must be
   * held. */
  of(room: HotRoom): Promise<RoomAuthGraph>
  /** The numbers of the auth chains of state events, ascending: those events only where another cites them. From room version
   * 12 on nothing cites the create event, so it is not among them. */
  chainOf(room: HotRoom, nids: readonly number[]): Promise<number[]>
  /** The same with the events themselves. */
  chainWith(room: HotRoom, nids: readonly number[]): Promise<number[]>
}

/** State events of all rooms together that stay in memory, at about 40 bytes each. */
const mostEvents = 2_000_000

/** The auth graph of a room, with the number of each event. Auth events have lower numbers than what cites them. */
export class RoomAuthGraph {
  readonly graph = new AuthGraph()
  /** By ordinal, ascending. */
  readonly #nids: number[] = []
  readonly #kinds: number[] = []
  #unwritten: { ref: EventRef; room: HotRoom } | undefined
  /** Everything up to this number is here. */
  loadedUpTo = 0

  get size(): number {
    return this.#nids.length
  }

  nidOf(ordinal: number): number {
    return this.#nids[ordinal]!
  }

  kindOf(ordinal: number): number {
    return this.#kinds[ordinal]!
  }

  /** @throws Error for an event that is not here. */
  ordinalOf(nid: number): number {
    let low = 0
    let high = this.#nids.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#nids[middle]! < nid) low = middle + 1
      else high = middle
    }
    if (this.#nids[low] !== nid) throw new Error(`the auth graph has no event ${nid}`)
    return low
  }

  /** Takes in an event from the database. */
  add(nid: number, kind: number, auth: readonly number[], isPowerLevels: boolean): void {
    this.#append(nid, kind, auth, isPowerLevels)
    this.loadedUpTo = nid
  }

  /** Takes in an event that is about to be written, and returns its ordinal. */
  addUnwritten(room: HotRoom, ref: EventRef, auth: readonly number[]): number {
    if (this.#unwritten?.ref === ref) return this.#nids.length - 1
    const { type, state_key: stateKey } = ref.event.pdu
    this.#unwritten = { ref, room }
    return this.#append(Number.POSITIVE_INFINITY, ref.kind, auth, type === 'm.room.power_levels' && stateKey === '')
  }

  /** By now the last unwritten event has its number, or never will: then the database has it, if at all. */
  settle(): void {
    if (!this.#unwritten) return
    const { ref, room } = this.#unwritten
    const last = this.#nids.length - 1
    const isWritten = !room.failed && ref.nid > this.loadedUpTo
    // One that never was has the number of the one before it, so that it is not found.
    this.#nids[last] = isWritten ? ref.nid : (this.#nids[last - 1] ?? 0)
    if (isWritten) this.loadedUpTo = ref.nid
    this.#unwritten = undefined
  }

  #append(nid: number, kind: number, auth: readonly number[], isPowerLevels: boolean): number {
    // An auth event that is not here belongs to another room, or is no state event: the event was rejected for it.
    const parents: number[] = []
    for (const cited of auth) {
      const ordinal = this.#find(cited)
      if (ordinal !== undefined) parents.push(ordinal)
    }
    this.#nids.push(nid)
    this.#kinds.push(kind)
    return this.graph.add(parents, isPowerLevels)
  }

  #find(nid: number): number | undefined {
    try {
      return this.ordinalOf(nid)
    } catch {
      return undefined
    }
  }
}

export function createAuthGraphs(ctx: {
  database: Pick<Database, 'read'>
  caches: Caches
  dictionaries: Dictionaries
}): AuthGraphs {
  const graphs = ctx.caches.lru<number, RoomAuthGraph>('auth graphs', {
    maxSize: mostEvents,
    maxEntrySize: Number.MAX_SAFE_INTEGER,
    sizeCalculation: (graph) => graph.size + 1,
  })
  const of = async (room: HotRoom): Promise<RoomAuthGraph> => {
    const known = graphs.get(room.room)
    const graph = known ?? new RoomAuthGraph()
    graph.settle()
    const rows = await ctx.database.read(stateEventEdges, [room.room, graph.loadedUpTo])
    const powerLevels = (await ctx.dictionaries.findKinds([{ type: 'm.room.power_levels', stateKey: '' }]))
      .values()
      .next().value
    for (const { event_nid: nid, kind, edges } of rows) {
      // Somebody else asked in the meantime.
      if (nid <= graph.loadedUpTo) continue
      const auth = edges ? decodeEdges(nid, edges).auth : []
      graph.add(nid, kind, auth, kind === powerLevels)
    }
    if (!known || rows.length > 0) graphs.set(room.room, graph)
    return graph
  }
  const chainFrom = async (
    room: HotRoom,
    nids: readonly number[],
    from: (graph: RoomAuthGraph, ordinal: number) => Iterable<number>,
  ): Promise<number[]> => {
    const release = await room.hold()
    try {
      const graph = await of(room)
      const starts = new Set<number>()
      for (const nid of nids) for (const ordinal of from(graph, graph.ordinalOf(nid))) starts.add(ordinal)
      return Array.from(graph.graph.chain(starts), (ordinal) => graph.nidOf(ordinal))
    } finally {
      release()
    }
  }
  return {
    of,
    chainOf: (room, nids) => chainFrom(room, nids, ({ graph }, ordinal) => graph.parents(ordinal)),
    chainWith: (room, nids) => chainFrom(room, nids, (_, ordinal) => [ordinal]),
  }
}
