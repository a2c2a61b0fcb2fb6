import { afterAll, expect, test } from 'vitest'
import type { EventId } from '../matrix/ids.ts'
import { roomRules } from '../matrix/room-versions.ts'
import { conflictOf, playRoom } from '../matrix/state-res/random-rooms.ts'
import { resolveState } from '../matrix/state-res/resolve-state.ts'
import type { Given } from '../matrix/state-res/resolving.ts'
import type { StateKey } from '../matrix/state-res/state-map.ts'
import { createThreadPool } from '../thread-pool.ts'
import { type ResolverThreads, SteppedResolution } from './resolver.ts'

const threads: ResolverThreads = createThreadPool(new URL('./resolver-thread.ts', import.meta.url))
afterAll(() => threads.close())

function numbers(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.imul(index + 1, 2_654_435_761 ^ seed) >>> 0)
}

test.each([
  ['2', 'entries'],
  ['11', 'events'],
  ['12', 'events'],
  ['12', 'graph'],
] as const)(
  'states of version %s are resolved in a thread as by the plain algorithm, for their %s',
  async (version, limit) => {
    const rules = roomRules(version)
    for (let seed = 0; seed < 10; seed++) {
      const room = playRoom(rules, numbers(300, seed))
      const { conflict, ordinals } = conflictOf(room)
      const eventIds = [...ordinals.keys()]
      let picked = 0
      const pick: typeof threads.pick = () => {
        picked++
        return threads.pick()
      }
      const divergence = { divergent: conflict.divergent, create: conflict.create }
      const limits = { events: 200, entries: 1000, graph: 100_000, [limit]: 0 }
      const resolution = new SteppedResolution({ ...threads, pick }, rules, conflict.graph, divergence, limits)
      let step = await resolution.step({})
      while (!('resolved' in step)) {
        const { events, agreed, whole } = step.wanted
        const given: Given = {
          events: events.map((ordinal) => [ordinal, room.events.get(eventIds[ordinal]!)!]),
          agreed: agreed.map((key) => [key, conflict.agreed.get(key)]),
          ...(whole && { whole: [...conflict.agreed.ordinals()] }),
        }
        step = await resolution.step(given)
      }
      const state = new Map<StateKey, EventId>()
      for (const [key, eventId] of room.sets[0]!) if (conflict.agreed.get(key) !== undefined) state.set(key, eventId)
      for (const [key, ordinal] of step.resolved) if (ordinal !== undefined) state.set(key, eventIds[ordinal]!)
      const plain = resolveState(rules, room.sets, (eventId) => room.events.get(eventId))
      expect(new Map([...state].sort())).toEqual(new Map([...plain].sort()))
      expect(picked).toBe(1)
    }
  },
)

test('a thread that fails fails those who wait for it, and the next one works', async () => {
  const rules = roomRules('12')
  const { conflict } = conflictOf(playRoom(rules, numbers(60, 1)))
  const thread = threads.pick()
  const broken = { task: thread.newTask(), given: { events: 'no JSON' } }
  await expect(thread.ask(broken)).rejects.toThrow()
  const next = threads.pick()
  const begin = {
    task: next.newTask(),
    roomVersion: '12',
    graph: conflict.graph.copy(),
    divergence: { divergent: conflict.divergent, create: conflict.create },
    given: { events: '[]' },
  }
  expect(await next.ask(begin)).toHaveProperty('step')
})
