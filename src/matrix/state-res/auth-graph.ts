/** Sets of ordinals whose chains one pass tells apart: one bit each. */
const SETS_PER_PASS = 32

/** A graph as it can be handed to a thread. */
export type AuthGraphCopy = {
  readonly ends: Uint32Array
  readonly edges: Uint32Array
  readonly powerLevels: Uint32Array
  readonly isPowerLevels: Uint8Array
}

/**
 * The auth events of one room's state events as integers: every event has an ordinal, and cites only lower ones. About
 * 25 bytes an event with four parents.
 *
 * Every question is one descending pass over the ordinals that matter; scratch memory belongs to the graph and is
 * reused, so an instance answers one question at a time.
 */
export class AuthGraph {
  #size = 0
  #edgeCount = 0
  /** Where the parents of an ordinal end; they start where those of the one before end. */
  #ends = new Uint32Array(64)
  #edges = new Uint32Array(256)
  /** One more than the ordinal of the power levels event among the parents, or zero. */
  #powerLevels = new Uint32Array(64)
  #isPowerLevels = new Uint8Array(64)
  /** Zero whenever no question is being answered. */
  #marks = new Uint32Array(64)

  /** The graph that a copy was made of. */
  static from({ ends, edges, powerLevels, isPowerLevels }: AuthGraphCopy): AuthGraph {
    const graph = new AuthGraph()
    graph.#reserve(ends.length, edges.length)
    graph.#ends.set(ends)
    graph.#edges.set(edges)
    graph.#powerLevels.set(powerLevels)
    graph.#isPowerLevels.set(isPowerLevels)
    graph.#size = ends.length
    graph.#edgeCount = edges.length
    return graph
  }

  copy(): AuthGraphCopy {
    return {
      ends: this.#ends.slice(0, this.#size),
      edges: this.#edges.slice(0, this.#edgeCount),
      powerLevels: this.#powerLevels.slice(0, this.#size),
      isPowerLevels: this.#isPowerLevels.slice(0, this.#size),
    }
  }

  /** Events so far; also the next ordinal. */
  get size(): number {
    return this.#size
  }

  /**
   * Adds an event that cites `parents`, in the order of its `auth_events` (from room version 12 on without the create
   * event), and returns its ordinal. `isPowerLevels`: it is an `m.room.power_levels` with an empty state key.
   *
   * @throws {RangeError} when a parent is not in the graph yet
   */
  add(parents: ArrayLike<number>, isPowerLevels = false): number {
    const ordinal = this.#size
    for (let i = 0; i < parents.length; i++) {
      if (!(parents[i]! >= 0 && parents[i]! < ordinal))
        throw new RangeError('An auth event must be in the graph before what cites it')
    }
    this.#reserve(ordinal + 1, this.#edgeCount + parents.length)
    for (let i = parents.length - 1; i >= 0; i--) {
      const parent = parents[i]!
      this.#edges[this.#edgeCount + i] = parent
      if (this.#isPowerLevels[parent] === 1) this.#powerLevels[ordinal] = parent + 1
    }
    this.#edgeCount += parents.length
    this.#ends[ordinal] = this.#edgeCount
    this.#isPowerLevels[ordinal] = isPowerLevels ? 1 : 0
    this.#size = ordinal + 1
    return ordinal
  }

  /** What the event cites, in its own order; a view that must not be written to. */
  parents(ordinal: number): Uint32Array {
    return this.#edges.subarray(this.#start(ordinal), this.#ends[ordinal]!)
  }

  /** The power levels event that the event cites, or -1. */
  powerLevelsOf(ordinal: number): number {
    return this.#powerLevels[ordinal]! - 1
  }

  /** The given events and their auth chains down to `floor`, ascending. */
  chain(from: Iterable<number>, floor = 0): Uint32Array {
    const marks = this.#marks
    const top = this.#sweep(from, floor)
    let count = 0
    for (let ordinal = floor; ordinal <= top; ordinal++) count += marks[ordinal]!
    const chain = new Uint32Array(count)
    for (let ordinal = top; ordinal >= floor; ordinal--) if (marks[ordinal] === 1) chain[--count] = ordinal
    marks.fill(0, 0, top + 1)
    return chain
  }

  /**
   * Those of `wanted` that are among the given events or in their auth chains. `from` is read no further than needed, and
   * the graph no lower than the lowest wanted ordinal.
   */
  reachedFrom(from: Iterable<number>, wanted: readonly number[]): ReadonlySet<number> {
    const found = new Set<number>()
    const open = new Set(wanted)
    const settle = (ordinal: number): void => {
      const stack = [ordinal]
      for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
        if (!open.delete(next)) continue
        found.add(next)
        for (const parent of this.parents(next)) if (open.has(parent)) stack.push(parent)
      }
    }
    // What is looked for is mostly what everybody cites: the first few events settle it.
    const lowest = least(wanted)
    const seen: number[] = []
    for (const ordinal of from) {
      if (open.size === 0) return found
      if (ordinal < lowest) continue
      seen.push(ordinal)
      if (open.has(ordinal)) settle(ordinal)
      for (let i = this.#start(ordinal), end = this.#ends[ordinal]!; i < end; i++) {
        if (open.has(this.#edges[i]!)) settle(this.#edges[i]!)
      }
    }
    if (open.size === 0) return found
    const floor = least(open)
    const marks = this.#marks
    const top = this.#sweep(seen, floor)
    for (const ordinal of open) if (marks[ordinal] === 1) found.add(ordinal)
    marks.fill(0, 0, top + 1)
    return found
  }

  /** The ordinals that are among the events of some, but not all of the sets, or in their auth chains. */
  difference(sets: readonly (readonly number[])[]): readonly number[] {
    return sets.length <= SETS_PER_PASS ? this.#differenceOfFew(sets) : this.#differenceOfMany(sets)
  }

  /** One pass with a bit for each set; it ends where all that is left to visit belongs to all sets. */
  #differenceOfFew(sets: readonly (readonly number[])[]): readonly number[] {
    const marks = this.#marks
    const all = sets.length === SETS_PER_PASS ? 0xffff_ffff : 2 ** sets.length - 1
    let top = -1
    let uncertain = 0
    const mark = (ordinal: number, bits: number): void => {
      const before = marks[ordinal]!
      const after = (before | bits) >>> 0
      if (after === before) return
      if (before !== 0) uncertain--
      if (after !== all) uncertain++
      marks[ordinal] = after
    }
    sets.forEach((set, index) => {
      for (const ordinal of set) {
        mark(ordinal, (1 << index) >>> 0)
        if (ordinal > top) top = ordinal
      }
    })
    const difference: number[] = []
    let ordinal = top
    for (; uncertain > 0; ordinal--) {
      const bits = marks[ordinal]!
      if (bits === 0) continue
      if (bits !== all) {
        uncertain--
        difference.push(ordinal)
      }
      for (let i = this.#start(ordinal), end = this.#ends[ordinal]!; i < end; i++) mark(this.#edges[i]!, bits)
    }
    marks.fill(0, 0, top + 1)
    return difference
  }

  #differenceOfMany(sets: readonly (readonly number[])[]): readonly number[] {
    const counts = new Map<number, number>()
    for (const set of sets) for (const ordinal of this.chain(set)) counts.set(ordinal, (counts.get(ordinal) ?? 0) + 1)
    return [...counts].filter(([, count]) => count < sets.length).map(([ordinal]) => ordinal)
  }

  /** All events on paths between two of the given ones, those included. */
  between(ordinals: readonly number[]): readonly number[] {
    const marks = this.#marks
    let top = -1
    let floor = Number.POSITIVE_INFINITY
    for (const ordinal of ordinals) {
      marks[ordinal] = 2
      if (ordinal > top) top = ordinal
      if (ordinal < floor) floor = ordinal
    }
    const below: number[] = []
    let unvisited = new Set(ordinals).size
    for (let ordinal = top; unvisited > 0; ordinal--) {
      if (marks[ordinal] === 0) continue
      unvisited--
      below.push(ordinal)
      for (let i = this.#start(ordinal), end = this.#ends[ordinal]!; i < end; i++) {
        const parent = this.#edges[i]!
        if (parent < floor || marks[parent] !== 0) continue
        marks[parent] = 1
        unvisited++
      }
    }
    const between: number[] = []
    for (const ordinal of below.reverse()) {
      if (marks[ordinal] === 2 || this.parents(ordinal).some((parent) => marks[parent] === 2)) {
        marks[ordinal] = 2
        between.push(ordinal)
      }
    }
    for (const ordinal of below) marks[ordinal] = 0
    return between
  }

  #start(ordinal: number): number {
    return ordinal === 0 ? 0 : this.#ends[ordinal - 1]!
  }

  /** Marks the given events and their auth chains with 1, and returns the highest; the caller wipes the marks. */
  #sweep(from: Iterable<number>, floor: number): number {
    const marks = this.#marks
    const edges = this.#edges
    const ends = this.#ends
    let top = -1
    for (const ordinal of from) {
      if (ordinal < floor) continue
      marks[ordinal] = 1
      if (ordinal > top) top = ordinal
    }
    for (let ordinal = top; ordinal >= floor; ordinal--) {
      if (marks[ordinal] === 0) continue
      for (let i = this.#start(ordinal), end = ends[ordinal]!; i < end; i++) marks[edges[i]!] = 1
    }
    return top
  }

  #reserve(size: number, edgeCount: number): void {
    if (size > this.#ends.length) {
      const room = Math.max(size, this.#ends.length * 2)
      this.#ends = grown(this.#ends, new Uint32Array(room))
      this.#powerLevels = grown(this.#powerLevels, new Uint32Array(room))
      this.#isPowerLevels = grown(this.#isPowerLevels, new Uint8Array(room))
      this.#marks = new Uint32Array(room)
    }
    if (edgeCount > this.#edges.length) {
      this.#edges = grown(this.#edges, new Uint32Array(Math.max(edgeCount, this.#edges.length * 2)))
    }
  }
}

function least(ordinals: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY
  for (const ordinal of ordinals) if (ordinal < least) least = ordinal
  return least
}

function grown<A extends Uint32Array | Uint8Array>(from: A, to: A): A {
  to.set(from)
  return to
}
