import { describe, expect, test } from 'vitest'
import { ALICE, BOB, CAROL, event } from './auth-rules/fixtures.ts'
import type { Json, JsonObject } from './json.ts'
import { creatorsOf, parseLevel, powerLevelsOf } from './power-levels.ts'
import { roomRules } from './room-versions.ts'

function levelsIn(version: '9' | '11' | '12', content: JsonObject | undefined) {
  const rules = roomRules(version)
  const create = event(rules, { type: 'm.room.create', content: { creator: ALICE, additional_creators: [CAROL] } })
  return powerLevelsOf(content, create, rules)
}

test('defaults without an event', () => {
  for (const version of ['9', '11', '12'] as const) {
    const levels = levelsIn(version, undefined)
    expect(levels.userLevel(ALICE)).toBe(version === '12' ? Number.POSITIVE_INFINITY : 100)
    expect(levels.userLevel(CAROL)).toBe(version === '12' ? Number.POSITIVE_INFINITY : 0)
    expect(levels.userLevel(BOB)).toBe(0)
    expect(levels.requiredFor('x', true)).toBe(50)
    expect(levels.requiredFor('x', false)).toBe(0)
    expect(levels).toMatchObject({ ban: 50, kick: 50, redact: 50, invite: 0 })
    expect(levels.notificationLevel('room')).toBe(50)
  }
})

test('what the event says', () => {
  const levels = levelsIn('11', {
    users: { [BOB]: 20 },
    users_default: 1,
    events: { x: 5 },
    events_default: 2,
    state_default: 3,
    ban: 4,
    kick: 6,
    redact: 7,
    invite: 8,
    notifications: { room: 9 },
  })
  expect([BOB, ALICE, 'toString', '__proto__'].map(levels.userLevel)).toEqual([20, 1, 1, 1])
  expect([levels.requiredFor('x', true), levels.requiredFor('y', true), levels.requiredFor('y', false)]).toEqual([
    5, 3, 2,
  ])
  expect(levels).toMatchObject({ ban: 4, kick: 6, redact: 7, invite: 8 })
  expect(levels.notificationLevel('room')).toBe(9)
})

test('what is no level counts as not given', () => {
  const levels = levelsIn('11', { users: [], events: { x: '5' }, ban: '4', kick: null, users_default: 1.5 })
  expect(levels.userLevel(BOB)).toBe(0)
  expect(levels.requiredFor('x', false)).toBe(0)
  expect(levels).toMatchObject({ ban: 50, kick: 50 })
  expect(levelsIn('9', { ban: '4' }).ban).toBe(4)
})

describe('parseLevel', () => {
  const values: readonly (readonly [Json, number | undefined, number | undefined, number | undefined])[] = [
    [5, 5, 5, 5],
    [-5, -5, -5, -5],
    ['5', 5, 5, undefined],
    ['-005', -5, -5, undefined],
    [' +5\n', 5, 5, undefined],
    ['5.0', undefined, undefined, undefined],
    ['', undefined, undefined, undefined],
    ['- 5', undefined, undefined, undefined],
    [50.57, 50, undefined, undefined],
    [-0.5, -0, undefined, undefined],
    [true, undefined, undefined, undefined],
    [null, undefined, undefined, undefined],
  ]
  test.each(values)('%j', (value, v5, v9, v10) => {
    expect((['5', '9', '10'] as const).map((version) => parseLevel(value, roomRules(version)))).toEqual([v5, v9, v10])
  })
})

test('creatorsOf', () => {
  const content = { creator: BOB, additional_creators: [CAROL] }
  const of = (version: '10' | '11' | '12', more: JsonObject = {}) =>
    creatorsOf(
      event(roomRules(version), { type: 'm.room.create', content: { ...content, ...more } }),
      roomRules(version),
    )
  expect(of('10')).toEqual([BOB])
  expect(of('10', { creator: 1 })).toEqual([])
  expect(of('11')).toEqual([ALICE])
  expect(of('12')).toEqual([ALICE, CAROL])
  expect(of('12', { additional_creators: null })).toEqual([ALICE])
})
