import { describe, expect, test } from 'vitest'
import { MatrixError } from '../errors.ts'
import { MAX_PUSH_RULES } from '../limits.ts'
import { defaultRuleset, rulesetOf } from './default-rules.ts'
import { addRule, copyToRoom, parsePushKind, removeRule, setActions, setEnabled } from './edit.ts'
import type { StoredPushRules } from './types.ts'

const ALICE = '@alice:example.org'
const features = { msc3930: false, msc4028: false, msc4306: false, legacy_mentions: false }
const rule = { actions: ['notify'] }
const ids = (stored: StoredPushRules) => (stored.rules?.room ?? []).map((known) => known.rule_id)

function failure(attempt: () => unknown): [string, number] {
  try {
    attempt()
  } catch (error) {
    if (error instanceof MatrixError) return [error.errcode, error.status]
    throw error
  }
  return ['none', 200]
}

describe('order', () => {
  const three = ['c', 'b', 'a'].reduce<StoredPushRules>((stored, id) => addRule(stored, 'room', id, rule), {})

  test('a new rule is the most important', () => expect(ids(three)).toEqual(['a', 'b', 'c']))
  test.each([
    [{ before: 'b' }, ['a', 'x', 'b', 'c']],
    [{ after: 'b' }, ['a', 'b', 'x', 'c']],
    [{ after: 'c' }, ['a', 'b', 'c', 'x']],
    [{ before: 'b', after: 'c' }, ['a', 'x', 'b', 'c']],
  ])('placed %j', (placement, expected) => {
    expect(ids(addRule(three, 'room', 'x', rule, placement))).toEqual(expected)
  })

  test('a changed rule keeps its place and its state, and moves when asked', () => {
    const disabled = setEnabled(three, 'room', 'c', false, features)
    const changed = addRule(disabled, 'room', 'c', { actions: [] })
    expect(ids(changed)).toEqual(['a', 'b', 'c'])
    expect(changed.rules?.room?.[2]).toEqual({ rule_id: 'c', enabled: false, actions: [] })
    expect(ids(addRule(three, 'room', 'c', rule, { before: 'a' }))).toEqual(['c', 'a', 'b'])
    expect(ids(addRule(three, 'room', 'b', rule, { after: 'b' }))).toEqual(['a', 'b', 'c'])
  })

  test('no placement beside what is not there, or beside a default rule', () => {
    expect(failure(() => addRule(three, 'room', 'x', rule, { before: 'y' }))).toEqual(['M_UNKNOWN', 400])
    expect(failure(() => addRule({}, 'override', 'x', rule, { after: '.m.rule.master' }))).toEqual(['M_UNKNOWN', 400])
  })

  test('nothing is changed in place', () => {
    addRule(three, 'room', 'x', rule)
    removeRule(three, 'room', 'a', features)
    expect(ids(three)).toEqual(['a', 'b', 'c'])
  })
})

test('the ruleset of a user who changed nothing is the default one', () => {
  expect(rulesetOf(ALICE, {}, features)).toEqual(defaultRuleset(ALICE, features))
})

test('own rules come between the master rule and the other defaults', () => {
  const override = rulesetOf(ALICE, addRule({}, 'override', 'mine', { actions: [] }), features).override
  expect(override.slice(0, 3).map((known) => [known.rule_id, known.default])).toEqual([
    ['.m.rule.master', true],
    ['mine', false],
    ['.m.rule.suppress_notices', true],
  ])
})

test.each([
  ['an id with a dot', () => addRule({}, 'room', '.x', rule), ['M_INVALID_PARAM', 400]],
  ['an id with a slash', () => addRule({}, 'room', 'a/b', rule), ['M_INVALID_PARAM', 400]],
  ['an id with a backslash', () => addRule({}, 'room', 'a\\b', rule), ['M_INVALID_PARAM', 400]],
  ['an id of 301 bytes', () => addRule({}, 'room', 'x'.repeat(301), rule), ['M_TOO_LARGE', 413]],
  ['an id of 300 bytes', () => addRule({}, 'room', 'x'.repeat(300), rule), ['none', 200]],
  [
    'a rule over a kilobyte',
    () => addRule({}, 'content', 'x', { ...rule, pattern: 'x'.repeat(1025) }),
    ['M_TOO_LARGE', 413],
  ],
  ['a content rule without a pattern', () => addRule({}, 'content', 'x', rule), ['M_INVALID_PARAM', 400]],
  ['no actions', () => addRule({}, 'room', 'x', {}), ['M_INVALID_PARAM', 400]],
  ['an unknown action', () => addRule({}, 'room', 'x', { actions: ['shout'] }), ['M_INVALID_PARAM', 400]],
  [
    'conditions that are none',
    () => addRule({}, 'override', 'x', { ...rule, conditions: [1] }),
    ['M_INVALID_PARAM', 400],
  ],
  ['removing what is not there', () => removeRule({}, 'room', 'x', features), ['M_NOT_FOUND', 404]],
  ['removing a default rule', () => removeRule({}, 'override', '.m.rule.master', features), ['M_INVALID_PARAM', 400]],
  ['disabling what is not there', () => setEnabled({}, 'room', 'x', false, features), ['M_NOT_FOUND', 404]],
  [
    'disabling a default rule of another kind',
    () => setEnabled({}, 'room', '.m.rule.master', false, features),
    ['M_NOT_FOUND', 404],
  ],
  ['actions of what is not there', () => setActions({}, 'room', '__proto__', [], features), ['M_NOT_FOUND', 404]],
])('%s', (_, attempt, expected) => {
  expect(failure(attempt)).toEqual(expected)
})

test('a full set takes no new rule, and every change', () => {
  const many = Array.from({ length: MAX_PUSH_RULES }, (_, i) => ({ rule_id: `r${i}`, enabled: true, actions: [] }))
  const full: StoredPushRules = { rules: { room: many } }
  expect(failure(() => addRule(full, 'sender', 'x', rule))).toEqual(['M_UNKNOWN', 400])
  expect(failure(() => addRule(full, 'room', 'r7', rule))[0]).toBe('none')
  expect(failure(() => setEnabled(full, 'room', 'r7', false, features))[0]).toBe('none')
  const freed = removeRule(full, 'room', 'r7', features)
  expect(ids(addRule(freed, 'room', 'x', rule, { after: `r${MAX_PUSH_RULES - 1}` })).at(-1)).toBe('x')
})

test('historical actions are kept', () => {
  const stored = addRule({}, 'room', 'x', { actions: ['dont_notify', 'coalesce', 'notify'] })
  expect(stored.rules?.room?.[0]?.actions).toEqual(['dont_notify', 'coalesce', 'notify'])
})

test('kinds', () => {
  expect(parsePushKind('underride')).toBe('underride')
  expect(parsePushKind('toString')).toBeUndefined()
})

describe('the room that takes the place of another', () => {
  const [old, next] = ['!old:example.org', '!next'] as const
  const about = (room: string) => ({ kind: 'event_match', key: 'room_id', pattern: room })
  const by = (kind: 'override' | 'room', ...names: string[]) =>
    names.reduceRight<StoredPushRules>(
      (stored, id) => addRule(stored, kind, id, { ...rule, conditions: [about(old), { kind: 'x' }] }),
      {},
    )

  test('has its rules, each behind the one it was made of', () => {
    const stored = setEnabled(by('room', 'a', old, 'b'), 'room', old, false, features)
    const copied = copyToRoom(stored, old, next)
    expect(ids(copied)).toEqual(['a', old, next, 'b'])
    expect(copied.rules?.room?.[2]).toMatchObject({ enabled: false, actions: ['notify'] })
  })

  test('has those by conditions that are named after it', () => {
    const copied = copyToRoom(by('override', 'mine', old, `x ${old}`), old, next)
    expect(copied.rules?.override?.map((known) => known.rule_id)).toEqual(['mine', old, next, `x ${old}`, `x ${next}`])
    expect(copied.rules?.override?.[2]?.conditions).toEqual([about(next), { kind: 'x' }])
  })

  test('keeps its own, and nothing is written where there is nothing to copy', () => {
    for (const stored of [{}, by('room', 'a'), by('room', old, next)])
      expect(copyToRoom(stored, old, next)).toBe(stored)
  })
})
