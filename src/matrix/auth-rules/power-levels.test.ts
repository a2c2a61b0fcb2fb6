import { describe, expect, test } from 'vitest'
import type { UserId } from '../ids.ts'
import type { Json, JsonObject } from '../json.ts'
import { checkAuth } from './check-auth.ts'
import { ALICE, BOB, CAROL, event, stateOf, versions } from './fixtures.ts'

const ALL = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
const from = (first: number, last = 12) => ALL.filter((version) => version >= first && version <= last)

/** The versions in which `sender` may change the levels; Bob is at 50, which state needs. */
function allowedIn(proposed: JsonObject, current: JsonObject | undefined, sender: UserId = BOB): readonly number[] {
  return versions(1)
    .filter((rules) => {
      const state = stateOf(rules, {
        create: { creator: ALICE, additional_creators: [CAROL] },
        members: { [ALICE]: 'join', [BOB]: 'join', [CAROL]: 'join' },
        ...(current === undefined ? {} : { levels: current }),
      })
      const input = event(rules, { type: 'm.room.power_levels', sender, stateKey: '', content: proposed })
      return checkAuth(input, state, rules).allowed
    })
    .map((rules) => Number(rules.version))
}

describe('the format of levels', () => {
  const proposals: readonly (readonly [JsonObject, readonly number[]])[] = [
    [{}, ALL],
    [{ users: { [BOB]: 1 } }, ALL],
    [{ users: { [BOB]: '1' } }, from(1, 9)],
    [{ users: { [BOB]: ' +001 ' } }, from(1, 9)],
    [{ users: { [BOB]: '1.0' } }, []],
    [{ users: { [BOB]: '0x1' } }, []],
    [{ users: { [BOB]: '' } }, []],
    [{ users: { [BOB]: 1.5 } }, from(1, 5)],
    [{ users: { [BOB]: true } }, []],
    [{ users: { [BOB]: null } }, []],
    [{ users: { bob: 1 } }, []],
    [{ users: { '@bob': 1 } }, []],
    [{ users: [] }, []],
    [{ users: null }, []],
    [{ users: 'x' }, []],
    [{ ban: '1' }, from(1, 9)],
    [{ ban: true }, from(1, 9)],
    [{ invite: null }, from(1, 9)],
    [{ users_default: {} }, from(1, 9)],
    [{ events: { x: 1 } }, ALL],
    [{ events: { x: '1' } }, from(1, 9)],
    [{ events: { x: null } }, from(1, 9)],
    [{ events: [] }, from(1, 9)],
    [{ notifications: { room: '1' } }, from(1, 9)],
    [{ notifications: 1 }, from(1, 9)],
    [{ other: 'x' }, ALL],
  ]
  test.each(proposals)('%j', (proposed, allowed) => {
    expect(allowedIn(proposed, undefined, ALICE)).toEqual(allowed)
  })
})

test('creators are not listed from version 12 on', () => {
  expect(allowedIn({ users: { [ALICE]: 100 } }, undefined, ALICE)).toEqual(from(1, 11))
  expect(allowedIn({ users: { [CAROL]: 100 } }, undefined, ALICE)).toEqual(from(1, 11))
})

const current: JsonObject = { users: { [BOB]: 50 } }

describe.each(['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'])('%s', (name) => {
  const changes: readonly (readonly [Json | undefined, Json | undefined, readonly number[]])[] = [
    [undefined, 50, ALL],
    [undefined, 51, []],
    [50, 50, ALL],
    [50, 0, ALL],
    [50, undefined, ALL],
    [51, 51, name === 'state_default' ? [] : ALL],
    [51, 50, []],
    [51, undefined, []],
    [0, -5, ALL],
    ['50', '050', from(1, 9)],
    [50, 'x', []],
  ]
  test.each(changes)('from %j to %j', (before, after, allowed) => {
    const with_ = (value: Json | undefined) => ({ ...current, ...(value === undefined ? {} : { [name]: value }) })
    expect(allowedIn(with_(after), with_(before))).toEqual(allowed)
  })
})

describe.each([
  ['events', ALL],
  ['notifications', from(6)],
])('%s', (name, checked) => {
  const unchecked = ALL.filter((version) => !checked.includes(version))
  const changes: readonly (readonly [JsonObject, JsonObject, readonly number[]])[] = [
    [{}, { x: 50 }, ALL],
    [{}, { x: 51 }, unchecked],
    [{ x: 50 }, { x: 10 }, ALL],
    [{ x: 50 }, {}, ALL],
    [{ x: 51 }, { x: 51 }, ALL],
    [{ x: 51 }, { x: 50 }, unchecked],
    [{ x: 51 }, {}, unchecked],
    [{}, { ['__proto__']: 51 }, unchecked],
  ]
  test.each(changes)('from %j to %j', (before, after, allowed) => {
    expect(allowedIn({ ...current, [name]: after }, { ...current, [name]: before })).toEqual(allowed)
  })
})

describe('users', () => {
  const other = '@other:d.example'
  const third = '@third:d.example'
  const changes: readonly (readonly [string, JsonObject, JsonObject, readonly number[]])[] = [
    ['adds below', {}, { [other]: 49 }, ALL],
    ['adds as high', {}, { [other]: 50 }, ALL],
    ['adds above', {}, { [other]: 51 }, []],
    ['changes below', { [other]: 49 }, { [other]: 50 }, ALL],
    ['raises above', { [other]: 49 }, { [other]: 51 }, []],
    ['lowers as high', { [other]: 50 }, { [other]: 49 }, []],
    ['removes as high', { [other]: 50 }, {}, []],
    ['removes below', { [other]: 49 }, {}, ALL],
    ['leaves the high', { [other]: 100 }, { [other]: 100, [third]: 1 }, ALL],
  ]
  test.each(changes)('%s', (_name, before, after, allowed) => {
    expect(allowedIn({ users: { [BOB]: 50, ...after } }, { users: { [BOB]: 50, ...before } })).toEqual(allowed)
  })

  test('lowers and removes oneself, but does not raise', () => {
    expect(allowedIn({ users: { [BOB]: 10 } }, current)).toEqual(ALL)
    expect(allowedIn({ users: {} }, current)).toEqual(ALL)
    expect(allowedIn({ users: { [BOB]: 51 } }, current)).toEqual([])
  })

  test('creators give any level, and take it away', () => {
    const maximum = Number.MAX_SAFE_INTEGER
    expect(allowedIn({ users: { [other]: maximum } }, { users: {} }, ALICE)).toEqual([12])
    expect(allowedIn({ users: {} }, { users: { [other]: maximum } }, CAROL)).toEqual([12])
  })
})

test('the level of the event itself is needed too', () => {
  expect(allowedIn({}, { ...current, events: { 'm.room.power_levels': 51 } })).toEqual([])
  expect(allowedIn({ users: { [BOB]: 49 } }, { users: { [BOB]: 49 } })).toEqual([])
})
