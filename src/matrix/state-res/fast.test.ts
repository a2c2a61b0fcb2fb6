import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EventId } from '../ids.ts'
import { type RoomVersion, roomRules } from '../room-versions.ts'
import { type Resolution, resolvePlanned } from './fast.ts'
import { planResolution } from './plan.ts'
import { conflictOf, playRoom, type RandomRoom } from './random-rooms.ts'
import { resolveState } from './resolve-state.ts'
import type { LoadedEvent, StateKey, StateMap } from './state-map.ts'

/** Cases for each room version; `STATE_RES_RUNS` asks for more. */
const RUNS = Number(process.env.STATE_RES_RUNS ?? 1000)

type Fast = { readonly state: StateMap; readonly loaded: number; readonly rounds: number }

/** Resolves with the integer form, loading only what it asks for. */
function resolveFast(version: RoomVersion, room: RandomRoom): Fast {
  const rules = roomRules(version)
  const { conflict, ordinals } = conflictOf(room)
  const eventIds = [...ordinals.keys()]
  const plan = planResolution(rules, conflict)
  const loaded = new Map<number, LoadedEvent>()
  const loadAll = (wanted: Iterable<number>) => {
    for (const ordinal of wanted) loaded.set(ordinal, room.events.get(eventIds[ordinal]!)!)
  }
  loadAll(plan.needed)
  let rounds = 1
  let resolution: Resolution = resolvePlanned(plan, (ordinal) => loaded.get(ordinal))
  while ('missing' in resolution) {
    expect(resolution.missing.length).toBeGreaterThan(0)
    loadAll(resolution.missing)
    resolution = resolvePlanned(plan, (ordinal) => loaded.get(ordinal))
    rounds++
  }
  const state = new Map<StateKey, EventId>()
  for (const [key, eventId] of room.sets[0] ?? []) {
    if (conflict.agreed.get(key) !== undefined) state.set(key, eventId)
  }
  for (const [key, ordinal] of resolution.resolved) if (ordinal !== undefined) state.set(key, eventIds[ordinal]!)
  return { state, loaded: loaded.size, rounds }
}

const sorted = (state: StateMap) => [...state].sort(([a], [b]) => (a < b ? -1 : 1))

describe('the integer form resolves as the plain one', () => {
  test.each(['1', '2', '6', '11', '12'] as const)('room version %s', (version) => {
    const rules = roomRules(version)
    let conflicts = 0
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 10, maxLength: 60, size: 'max' }), (numbers) => {
        const room = playRoom(rules, numbers)
        const plain = resolveState(rules, room.sets, (eventId) => room.events.get(eventId))
        const fast = resolveFast(version, room)
        expect(sorted(fast.state)).toEqual(sorted(plain))
        expect(fast.rounds).toBeLessThanOrEqual(3)
        if (fast.loaded > 0) conflicts++
      }),
      { numRuns: RUNS },
    )
    expect(conflicts).toBeGreaterThan(RUNS / 4)
  })

  test('more sets than one pass tells apart', () => {
    const rules = roomRules('12')
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 20, maxLength: 40 }), (numbers) => {
        const room = playRoom(rules, numbers)
        const sets = Array.from({ length: 40 }, (_, index) => room.sets[index % room.sets.length]!)
        const plain = resolveState(rules, sets, (eventId) => room.events.get(eventId))
        expect(sorted(resolveFast('12', { ...room, sets }).state)).toEqual(sorted(plain))
      }),
      { numRuns: 100 },
    )
  })
})

test('the order of the state sets does not matter', () => {
  for (const version of ['1', '2', '12'] as const) {
    const rules = roomRules(version)
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 20, maxLength: 60 }), (numbers) => {
        const room = playRoom(rules, numbers)
        const lookup = (eventId: EventId) => room.events.get(eventId)
        const forwards = resolveState(rules, room.sets, lookup)
        const backwards = resolveState(rules, room.sets.toReversed(), lookup)
        expect(sorted(backwards)).toEqual(sorted(forwards))
      }),
      { numRuns: 200 },
    )
  }
})
