import { expect, test } from 'vitest'
import { roomRules } from '../room-versions.ts'
import { AuthGraph } from './auth-graph.ts'
import { type AgreedState, planResolution } from './plan.ts'
import { CREATE_KEY, JOIN_RULES_KEY, POWER_LEVELS_KEY, type StateKey, stateKeyOf } from './state-map.ts'

const TOPIC = stateKeyOf('m.room.topic', '')

/** A create event, its sender, levels, join rules and a thousand members; two of them set topics. */
function room() {
  const graph = new AuthGraph()
  const create = graph.add([])
  const creator = graph.add([create])
  const levels = graph.add([create, creator], true)
  const joinRules = graph.add([create, creator, levels])
  const state = new Map<StateKey, number>([
    [CREATE_KEY, create],
    [POWER_LEVELS_KEY, levels],
    [JOIN_RULES_KEY, joinRules],
  ])
  const members = Array.from({ length: 1000 }, (_, index) => {
    const ordinal = graph.add([create, levels, joinRules])
    state.set(stateKeyOf('m.room.member', `@${index}:a`), ordinal)
    return ordinal
  })
  return { graph, state, create, levels, joinRules, members }
}

/** Counts how many of its events are looked at. */
function counted(state: ReadonlyMap<StateKey, number>): AgreedState & { walked: number } {
  const values = new Set(state.values())
  return {
    walked: 0,
    get: (key) => state.get(key),
    has: (ordinal) => values.has(ordinal),
    *ordinals() {
      for (const ordinal of values) {
        this.walked++
        yield ordinal
      }
    },
  }
}

test.each(['2', '11', '12'] as const)('a small conflict is no larger than it is, in version %s', (version) => {
  const { graph, state, create, levels, members } = room()
  const topics = [graph.add([create, levels, members[7]!]), graph.add([create, levels, members[900]!])]
  const agreed = counted(state)
  const divergent = topics.map((topic) => new Map([[TOPIC, topic]]))
  const plan = planResolution(roomRules(version), { graph, divergent, agreed })
  expect([...plan.conflicted].sort()).toEqual(topics)
  expect(plan.needed.length).toBeLessThan(10)
  expect(agreed.walked).toBe(0)
})

test('without an answer to what is agreed, the walk ends where all is found', () => {
  const { graph, state, create, levels, members } = room()
  const topics = [graph.add([create, levels, members[7]!]), graph.add([create, levels, members[9]!])]
  const { has: _, ...agreed } = counted(state)
  const divergent = topics.map((topic) => new Map([[TOPIC, topic]]))
  const plan = planResolution(roomRules('11'), { graph, divergent, agreed })
  expect([...plan.conflicted].sort()).toEqual(topics)
  expect(agreed.walked).toBeLessThan(20)
})

test('levels that one side passed through belong to the auth difference', () => {
  const { graph, state, create, levels, members } = room()
  const passed = graph.add([create, levels, 1], true)
  const latest = graph.add([create, passed, 1], true)
  state.delete(POWER_LEVELS_KEY)
  const divergent = [latest, levels].map((ordinal) => new Map([[POWER_LEVELS_KEY, ordinal]]))
  const agreed = counted(state)
  const plan = planResolution(roomRules('11'), { graph, divergent, agreed })
  expect([...plan.conflicted].sort((a, b) => a - b)).toEqual([levels, passed, latest])

  // Once somebody who is agreed to be in the room joined under them, they belong to all.
  state.set(stateKeyOf('m.room.member', '@late:a'), graph.add([create, passed, members[0]!]))
  const later = planResolution(roomRules('11'), { graph, divergent, agreed: counted(state) })
  expect([...later.conflicted].sort((a, b) => a - b)).toEqual([levels, latest])
  const withSubgraph = planResolution(roomRules('12'), { graph, divergent, agreed: counted(state) })
  expect([...withSubgraph.conflicted].sort((a, b) => a - b)).toEqual([levels, passed, latest])
})

test('what does not differ is no conflict', () => {
  const { graph, state, members } = room()
  const key = stateKeyOf('m.room.member', '@0:a')
  state.delete(key)
  const divergent = [new Map([[key, members[0]!]]), new Map([[key, members[0]!]])]
  const plan = planResolution(roomRules('12'), { graph, divergent, agreed: counted(state) })
  expect(plan.needed).toEqual([])
  expect(plan.settled).toEqual(new Map([[key, members[0]]]))
})
