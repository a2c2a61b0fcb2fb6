import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AuthGraph } from './auth-graph.ts'

/** Each event cites the ones as far back as the numbers say. */
const graphs = fc.array(fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }), { minLength: 1, maxLength: 40 })

function build(distances: readonly (readonly number[])[]): {
  graph: AuthGraph
  parents: readonly (readonly number[])[]
} {
  const graph = new AuthGraph()
  const parents = distances.map((back, ordinal) => back.map((by) => ordinal - by).filter((parent) => parent >= 0))
  for (const list of parents) graph.add(list)
  return { graph, parents }
}

function chainOf(parents: readonly (readonly number[])[], from: Iterable<number>): Set<number> {
  const chain = new Set<number>()
  const visit = (ordinal: number): void => {
    if (chain.has(ordinal)) return
    chain.add(ordinal)
    parents[ordinal]!.forEach(visit)
  }
  for (const ordinal of from) visit(ordinal)
  return chain
}

const ascending = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b)

test('chains, differences and paths are those of the graph', () => {
  fc.assert(
    fc.property(
      graphs,
      fc.array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 4 }),
      (distances, picks) => {
        const { graph, parents } = build(distances)
        const sets = picks.map((pick) => pick.map((number) => number % graph.size))
        const chains = sets.map((set) => chainOf(parents, set))
        expect([...graph.chain(sets[0]!)]).toEqual(ascending(chains[0]!))
        expect([...graph.chain(sets[0]!, 7)]).toEqual(ascending(chains[0]!).filter((ordinal) => ordinal >= 7))

        const union = chains.reduce((all, chain) => all.union(chain), new Set<number>())
        const difference = [...union].filter((ordinal) => !chains.every((chain) => chain.has(ordinal)))
        expect(ascending(graph.difference(sets))).toEqual(ascending(difference))
        for (const length of [31, 32, 33]) {
          const many = Array.from({ length }, (_, index) => sets[index % sets.length]!)
          expect(ascending(graph.difference(many))).toEqual(ascending(difference))
        }

        const ends = new Set(sets.flat())
        const between = [...chainOf(parents, ends)].filter(
          (ordinal) => !chainOf(parents, [ordinal]).isDisjointFrom(ends),
        )
        expect(ascending(graph.between(sets.flat()))).toEqual(ascending(between))

        const wanted = [...union]
        const reached = wanted.filter((ordinal) => chains[0]!.has(ordinal))
        expect(ascending(graph.reachedFrom(sets[0]!, wanted))).toEqual(ascending(reached))
      },
    ),
    { numRuns: 1000 },
  )
})

test('an event comes after what it cites', () => {
  const graph = new AuthGraph()
  expect(() => graph.add([0])).toThrow(RangeError)
  expect(graph.add([])).toBe(0)
  expect(() => graph.add([1])).toThrow(RangeError)
  expect(() => graph.add([-1])).toThrow(RangeError)
  expect(graph.size).toBe(1)
})

test('it grows, and knows the power levels an event cites', () => {
  const graph = new AuthGraph()
  graph.add([])
  graph.add([0], true)
  for (let i = 2; i < 1000; i++) expect(graph.add([0, i - 1], i % 10 === 0)).toBe(i)
  expect(graph.powerLevelsOf(0)).toBe(-1)
  expect(graph.powerLevelsOf(1)).toBe(-1)
  expect(graph.powerLevelsOf(2)).toBe(1)
  expect(graph.powerLevelsOf(991)).toBe(990)
  expect(graph.powerLevelsOf(992)).toBe(-1)
  expect([...graph.parents(999)]).toEqual([0, 998])
  expect(graph.chain([999])).toHaveLength(1000)
})
