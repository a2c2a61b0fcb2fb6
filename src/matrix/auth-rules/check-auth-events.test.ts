import { describe, expect, test } from 'vitest'
import type { RoomEvent } from '../event.ts'
import type { JsonObject } from '../json.ts'
import { type RoomRules, roomRules } from '../room-versions.ts'
import { authTypesFor } from './auth-types.ts'
import { checkAuthEvents } from './check-auth-events.ts'
import { ALICE, BOB, CAROL, event, versions } from './fixtures.ts'

const state = (rules: RoomRules, type: string, stateKey = '', sender: typeof BOB = ALICE as never) =>
  event(rules, { type, stateKey, sender })

function verdict(rules: RoomRules, authEvents: readonly RoomEvent[], rejected: readonly RoomEvent[] = []) {
  const message = event(rules, { type: 'm.room.message', sender: BOB })
  const cited = authEvents.map((each) => ({ event: each, rejected: rejected.includes(each) }))
  return checkAuthEvents(message, cited, rules).allowed
}

describe.each(versions(1).map((rules) => [rules.version, rules] as const))('auth_events in version %s', (_v, rules) => {
  const create = rules.createEventIsRoomId ? [] : [state(rules, 'm.room.create')]
  const levels = state(rules, 'm.room.power_levels')
  const bob = state(rules, 'm.room.member', BOB, BOB)

  test('are those of the selection, all or some', () => {
    expect(verdict(rules, [...create, levels, bob])).toBe(true)
    expect(verdict(rules, [...create, bob])).toBe(true)
    expect(verdict(rules, create)).toBe(true)
  })
  test('have no two for one state key', () => {
    expect(verdict(rules, [...create, bob, state(rules, 'm.room.member', BOB, BOB)])).toBe(false)
    expect(verdict(rules, [...create, levels, levels])).toBe(false)
  })
  test('have none beyond the selection', () => {
    expect(verdict(rules, [...create, bob, state(rules, 'm.room.member', ALICE)])).toBe(false)
    expect(verdict(rules, [...create, state(rules, 'm.room.join_rules')])).toBe(false)
    expect(verdict(rules, [...create, state(rules, 'm.room.power_levels', 'x')])).toBe(false)
    expect(verdict(rules, [...create, event(rules, { type: 'm.room.power_levels' })])).toBe(false)
    expect(verdict(rules, [...create, state(rules, 'm.room.name')])).toBe(false)
  })
  test('have none that was rejected', () => {
    expect(verdict(rules, [...create, levels, bob], [levels])).toBe(false)
  })
  test('have none of another room', () => {
    const foreign = event(rules, { type: 'm.room.power_levels', stateKey: '', roomId: '!other:a.example' })
    expect(verdict(rules, [...create, foreign, bob])).toBe(false)
  })
  test('have the create event until version 11, and do not from version 12 on', () => {
    expect(verdict(rules, [levels, bob])).toBe(rules.createEventIsRoomId)
    expect(verdict(rules, [state(rules, 'm.room.create'), bob])).toBe(!rules.createEventIsRoomId)
  })
  test('are not looked at for the create event, which has its own rule', () => {
    expect(checkAuthEvents(event(rules, { type: 'm.room.create', stateKey: '' }), [], rules).allowed).toBe(true)
  })
})

describe('authTypesFor', () => {
  const CREATE = ['m.room.create', '']
  const LEVELS = ['m.room.power_levels', '']
  const RULES = ['m.room.join_rules', '']
  const member = (userId: string) => ['m.room.member', userId]
  const typesOf = (version: '7' | '11' | '12', type: string, stateKey?: string, content: JsonObject = {}) =>
    authTypesFor({ type, sender: ALICE, stateKey, content }, roomRules(version))

  test('of the create event are none', () => {
    expect(typesOf('11', 'm.room.create', '')).toEqual([])
  })
  test('of a message', () => {
    expect(typesOf('11', 'm.room.message')).toEqual([CREATE, LEVELS, member(ALICE)])
    expect(typesOf('12', 'm.room.message')).toEqual([LEVELS, member(ALICE)])
  })
  test.each([
    ['join', ALICE, [RULES]],
    ['knock', ALICE, [RULES]],
    ['leave', ALICE, []],
    ['invite', BOB, [member(BOB), RULES]],
    ['leave', BOB, [member(BOB)]],
    ['ban', BOB, [member(BOB)]],
  ])('of membership %s of %s', (membership, target, more) => {
    expect(typesOf('12', 'm.room.member', target, { membership })).toEqual([LEVELS, member(ALICE), ...more])
  })
  test('of a third-party invite', () => {
    const content = { membership: 'invite', third_party_invite: { signed: { token: 't' } } }
    const expected = [LEVELS, member(ALICE), member(BOB), RULES, ['m.room.third_party_invite', 't']]
    expect(typesOf('12', 'm.room.member', BOB, content)).toEqual(expected)
    for (const third_party_invite of [null, 1, [], {}, { signed: 1 }, { signed: { token: 1 } }]) {
      const malformed = { membership: 'invite', third_party_invite }
      expect(typesOf('12', 'm.room.member', BOB, malformed)).toEqual(expected.slice(0, 4))
    }
  })
  test('of a restricted join', () => {
    const content = { membership: 'join', join_authorised_via_users_server: CAROL }
    expect(typesOf('12', 'm.room.member', ALICE, content)).toEqual([LEVELS, member(ALICE), RULES, member(CAROL)])
    expect(typesOf('7', 'm.room.member', ALICE, content)).toEqual([CREATE, LEVELS, member(ALICE), RULES])
    const own = { ...content, join_authorised_via_users_server: ALICE }
    expect(typesOf('12', 'm.room.member', ALICE, own)).toEqual([LEVELS, member(ALICE), RULES])
  })
})
