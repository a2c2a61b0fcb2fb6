import { describe, expect, test } from 'vitest'
import type { RoomEvent } from '../event.ts'
import type { UserId } from '../ids.ts'
import type { JsonObject } from '../json.ts'
import { compileRules } from './compile.ts'
import { hasOnlyDefaults, rulesetOf } from './default-rules.ts'
import { addRule, setActions, setEnabled } from './edit.ts'
import { compiledDefaults, defaultOutcome, evaluate, mentionsOf, namedUsers } from './evaluate.ts'
import { type EventFacts, eventFacts, parsePath } from './event-facts.ts'
import type { PushCondition, StoredPushRules } from './types.ts'

const ALICE = '@alice:example.org'
const BOB = '@bob:example.org'
const features = { msc3930: false, msc4028: false, msc4306: false, legacy_mentions: false }

function facts(
  type: string,
  content: JsonObject,
  {
    stateKey,
    members = 10,
    level = 0,
    sender = BOB,
  }: { stateKey?: string; members?: number; level?: number; sender?: UserId } = {},
): EventFacts {
  const event: RoomEvent = {
    eventId: '$event',
    roomId: '!room:example.org',
    prevEvents: [],
    authEvents: [],
    pdu: {
      type,
      sender,
      room_id: '!room:example.org',
      content,
      ...(stateKey === undefined ? {} : { state_key: stateKey }),
      origin_server_ts: 1,
      depth: 1,
      prev_events: [],
      auth_events: [],
      hashes: { sha256: '' },
      signatures: {},
    },
  }
  return eventFacts(event, {
    roomMemberCount: members,
    powerLevels: { userLevel: () => level, notificationLevel: () => 50 },
  })
}

const message = (body: string, more: JsonObject = {}) => facts('m.room.message', { msgtype: 'm.text', body, ...more })

function outcome(stored: StoredPushRules, event: EventFacts, displayName?: string) {
  return evaluate(compileRules(rulesetOf(ALICE, stored, features), ALICE), event, { userId: ALICE, displayName })
}

const plain = { notify: true, highlight: false, tweaks: {} }
const silent = { notify: false, highlight: false, tweaks: {} }
const mention = { notify: true, highlight: true, sound: 'default', tweaks: { sound: 'default', highlight: true } }

describe('default rules', () => {
  test.each([
    ['a message', message('hi'), plain],
    ['an encrypted event', facts('m.room.encrypted', {}), plain],
    [
      'a message of two',
      facts('m.room.message', { body: 'hi' }, { members: 2 }),
      { ...plain, sound: 'default', tweaks: { sound: 'default' } },
    ],
    ['a notice', message('hi', { msgtype: 'm.notice' }), silent],
    ['an edit', message('hi', { 'm.relates_to': { rel_type: 'm.replace' } }), silent],
    ['a reaction', facts('m.reaction', {}), silent],
    ['a call', facts('m.call.invite', {}), { ...plain, sound: 'ring', tweaks: { sound: 'ring' } }],
    [
      'a tombstone',
      facts('m.room.tombstone', {}, { stateKey: '' }),
      { notify: true, highlight: true, tweaks: { highlight: true } },
    ],
    ['a message that calls itself tombstone', facts('m.room.tombstone', {}), silent],
    ['someone joining', facts('m.room.member', { membership: 'join' }, { stateKey: BOB }), silent],
    [
      'an invitation',
      facts('m.room.member', { membership: 'invite' }, { stateKey: ALICE }),
      { ...plain, sound: 'default', tweaks: { sound: 'default' } },
    ],
    ['a mention', message('hi', { 'm.mentions': { user_ids: [ALICE] } }), mention],
    ['a mention of another', message('hi', { 'm.mentions': { user_ids: [BOB] } }), plain],
    ['a room mention without the level', message('hi', { 'm.mentions': { room: true } }), plain],
    ['an own message', facts('m.room.message', { body: 'hi' }, { sender: ALICE }), silent],
  ])('%s', (_, event, expected) => {
    expect(outcome({}, event)).toEqual(expected)
    expect(evaluate(compiledDefaults(features), event, { userId: ALICE })).toEqual(expected)
    if (event.event.pdu.sender !== ALICE && !namedUsers(event).includes(ALICE))
      expect(defaultOutcome(event, features)).toEqual(expected)
  })

  test('a room mention by a moderator reaches everybody', () => {
    const event = facts('m.room.message', { 'm.mentions': { room: true } }, { level: 50 })
    expect(defaultOutcome(event, features)).toEqual({ notify: true, highlight: true, tweaks: { highlight: true } })
    expect(mentionsOf(event)).toEqual({ userIds: [], room: true })
  })

  test('no list of mentions changes the outcome of those it does not name', () => {
    const event = message('hi', { 'm.mentions': { user_ids: ['@:', '', null, '@x:y', '@x:y'] } })
    expect(defaultOutcome(event, features)).toEqual(plain)
    expect(namedUsers(event)).toEqual(['@:', '@x:y'])
  })

  test('malformed mentions match nothing', () => {
    for (const mentions of [null, [], 'x', { user_ids: ALICE }, { user_ids: { 0: ALICE } }, { room: 'true' }]) {
      expect(outcome({}, message('hi', { 'm.mentions': mentions }))).toEqual(plain)
    }
  })

  test('the master rule stands above the rules of the user', () => {
    const own = addRule({}, 'override', 'all', { actions: ['notify'], conditions: [] })
    expect(outcome(own, facts('m.reaction', {}))).toEqual(plain)
    expect(outcome(setEnabled(own, 'override', '.m.rule.master', true, features), message('hi'))).toEqual(silent)
    expect(hasOnlyDefaults({})).toBe(true)
    expect(hasOnlyDefaults(own)).toBe(false)
  })

  test('changed actions of a default rule', () => {
    const quiet = setActions({}, 'underride', '.m.rule.message', ['dont_notify'], features)
    expect(outcome(quiet, message('hi'))).toEqual(silent)
    expect(hasOnlyDefaults(quiet)).toBe(false)
  })
})

test('patterns that cost too much do not silence the default rules', () => {
  const patterns = Array.from({ length: 1000 }, (_, i) => `${'a?'.repeat(400)}${i}`)
  const content = patterns.map((pattern, i) => ({ rule_id: `${i}`, enabled: true, pattern, actions: [] }))
  expect(outcome({ rules: { content } }, message('a'.repeat(60_000)))).toEqual(plain)
})

describe('kinds of rules', () => {
  test('content before room before sender before underride', () => {
    let stored = addRule({}, 'sender', BOB, { actions: ['notify', { set_tweak: 'sound', value: 'sender' }] })
    expect(outcome(stored, message('cake')).sound).toBe('sender')
    stored = addRule(stored, 'room', '!room:example.org', { actions: [] })
    expect(outcome(stored, message('cake'))).toEqual(silent)
    stored = addRule(stored, 'content', 'cake', {
      pattern: 'CAKE*lie',
      actions: ['notify', { set_tweak: 'highlight', value: false }],
    })
    expect(outcome(stored, message('the Cake is a Lie!'))).toEqual({
      notify: true,
      highlight: false,
      tweaks: { highlight: false },
    })
    expect(outcome(stored, message('pancake is a lie'))).toEqual(silent)
  })
})

describe('conditions', () => {
  function holds(condition: PushCondition, event: EventFacts, displayName?: string): boolean {
    const stored = addRule({}, 'override', 'x', { conditions: [condition], actions: [{ set_tweak: 'hit', value: 1 }] })
    return outcome(stored, event, displayName).tweaks.hit === 1
  }
  const event = facts('m.x', {
    'm.federate': true,
    none: null,
    n: 1,
    list: ['a', 1, null, {}],
    body: 'Hi Al, ok',
    a: { b: 'X' },
  })

  test.each<[PushCondition, boolean]>([
    [{ kind: 'event_match', key: 'content.a.b', pattern: 'x' }, true],
    [{ kind: 'event_match', key: 'content.n', pattern: '*' }, false],
    [{ kind: 'event_match', key: 'content.gone', pattern: '*' }, false],
    [{ kind: 'event_match', key: 'room_id', pattern: '!room:*' }, true],
    [{ kind: 'event_match', key: 'event_id', pattern: '$event' }, true],
    [{ kind: 'event_match', key: 'content.constructor.name', pattern: '*' }, false],
    [{ kind: 'event_match', key: 'content.__proto__', pattern: '*' }, false],
    [{ kind: 'event_property_is', key: 'content.m\\.federate', value: true }, true],
    [{ kind: 'event_property_is', key: 'content.m\\.federate', value: 'true' }, false],
    [{ kind: 'event_property_is', key: 'content.m\\.federate', value: 1 }, false],
    [{ kind: 'event_property_is', key: 'content.none', value: null }, true],
    [{ kind: 'event_property_is', key: 'content.gone', value: null }, false],
    [{ kind: 'event_property_is', key: 'content.list', value: 'a' }, false],
    [{ kind: 'event_property_is', key: 'content.n' }, false],
    [{ kind: 'event_property_contains', key: 'content.list', value: 'a' }, true],
    [{ kind: 'event_property_contains', key: 'content.list', value: null }, true],
    [{ kind: 'event_property_contains', key: 'content.list', value: '1' }, false],
    [{ kind: 'event_property_contains', key: 'content.body', value: 'H' }, false],
    [{ kind: 'room_member_count', is: '10' }, true],
    [{ kind: 'room_member_count', is: '==10' }, true],
    [{ kind: 'room_member_count', is: '<10' }, false],
    [{ kind: 'room_member_count', is: '<=10' }, true],
    [{ kind: 'room_member_count', is: '>9' }, true],
    [{ kind: 'room_member_count', is: '>=11' }, false],
    [{ kind: 'room_member_count', is: 'ten' }, false],
    [{ kind: 'room_member_count', is: '' }, false],
    [{ kind: 'sender_notification_permission', key: 'room' }, false],
    [{ kind: 'org.example.unknown' }, false],
  ])('%j is %s', (condition, expected) => {
    expect(holds(condition, event)).toBe(expected)
  })

  test('display names are words, and not globs', () => {
    const condition = { kind: 'contains_display_name' }
    expect(holds(condition, event, 'al')).toBe(true)
    expect(holds(condition, event, 'a')).toBe(false)
    expect(holds(condition, event, 'A*')).toBe(false)
    expect(holds(condition, event, '')).toBe(false)
    expect(holds(condition, event)).toBe(false)
    expect(compiledDefaults(features).usesDisplayName).toBe(false)
  })

  test('paths', () => {
    expect(parsePath('content.m\\.relates_to.rel_type')).toEqual(['content', 'm.relates_to', 'rel_type'])
    expect(parsePath('content.m\\\\foo')).toEqual(['content', 'm\\foo'])
    expect(parsePath('content.\\x')).toEqual(['content', '\\x'])
    expect(parsePath('a.')).toEqual(['a', ''])
  })
})

describe('what is not in the specification', () => {
  const inThread = (more: JsonObject = {}) =>
    message('hi', { 'm.relates_to': { rel_type: 'm.thread', event_id: '$root' }, ...more })
  const with4306 = { ...features, msc4306: true }
  const judge = (event: EventFacts, isSubscribed: boolean, stored: StoredPushRules = {}) =>
    evaluate(compileRules(rulesetOf(ALICE, stored, with4306), ALICE), event, { userId: ALICE, isSubscribed }).notify

  test('MSC4306: a thread notifies who is subscribed to it, and whom it mentions', () => {
    expect(judge(inThread(), true)).toBe(true)
    expect(judge(inThread(), false)).toBe(false)
    expect(defaultOutcome(inThread(), with4306).notify).toBe(false)
    expect(judge(inThread({ 'm.mentions': { user_ids: [ALICE] } }), false)).toBe(true)
    expect(judge(message('hi'), false)).toBe(true)
    expect(defaultOutcome(inThread(), features).notify).toBe(true)
  })

  test('MSC4306: subscriptions come before the rules of a room, and after keywords', () => {
    const muted = addRule({}, 'room', '!room:example.org', { actions: [] })
    expect(judge(inThread(), true, muted)).toBe(true)
    const loud = addRule({}, 'room', '!room:example.org', { actions: ['notify'] })
    expect(judge(inThread(), false, loud)).toBe(false)
    const keyword = addRule({}, 'content', 'hi', { actions: ['notify'], pattern: 'hi' })
    expect(judge(inThread(), false, keyword)).toBe(true)
  })

  test('MSC4306: both rules can be disabled, and nobody adds one of the kind', () => {
    let stored: StoredPushRules = {}
    for (const which of ['subscribed', 'unsubscribed']) {
      const id = `.io.element.msc4306.rule.${which}_thread`
      stored = setEnabled(stored, 'postcontent', id, false, with4306)
      expect(() => setEnabled({}, 'postcontent', id, false, features)).toThrow('not found')
    }
    expect(judge(inThread(), false, stored)).toBe(true)
    expect(() => addRule({}, 'postcontent', 'mine', { actions: [] })).toThrow('postcontent')
    expect(rulesetOf(ALICE, {}, features)).not.toHaveProperty('postcontent')
  })

  test('MSC3930: polls notify when they start and end, not when somebody votes', () => {
    const polls = { ...features, msc3930: true }
    const poll = (name: string, members = 10) => facts(`org.matrix.msc3381.poll.${name}`, {}, { members })
    expect(defaultOutcome(poll('start'), polls)).toMatchObject({ notify: true, tweaks: {} })
    expect(defaultOutcome(poll('end', 2), polls)).toMatchObject({ notify: true, sound: 'default' })
    expect(defaultOutcome(poll('response'), polls).notify).toBe(false)
    expect(defaultOutcome(poll('start'), features).notify).toBe(false)
  })

  test('MSC4028: everything encrypted notifies, whatever else the defaults say', () => {
    const all = rulesetOf(ALICE, {}, { ...features, msc4028: true })
    expect(all.override[1]?.rule_id).toBe('.org.matrix.msc4028.encrypted_event')
    const quiet = setEnabled({}, 'underride', '.m.rule.encrypted', false, features)
    const rules = compileRules(rulesetOf(ALICE, quiet, { ...features, msc4028: true }), ALICE)
    expect(evaluate(rules, facts('m.room.encrypted', {}), { userId: ALICE }).notify).toBe(true)
  })

  test('legacy mentions: names in the body, unless the event says whom it mentions', () => {
    const legacy = { ...features, legacy_mentions: true }
    const rules = compileRules(rulesetOf(ALICE, {}, legacy), ALICE)
    const highlights = (event: EventFacts, displayName = 'Queen') =>
      evaluate(rules, event, { userId: ALICE, displayName }).highlight
    expect(highlights(message('hello alice!'))).toBe(true)
    expect(highlights(message('hello queen'))).toBe(true)
    expect(highlights(message('hello malice'))).toBe(false)
    expect(highlights(message('hello alice', { 'm.mentions': {} }))).toBe(false)
    expect(highlights(facts('m.room.message', { body: '@room hello' }, { level: 50 }))).toBe(true)
    expect(highlights(facts('m.room.message', { body: '@room hello' }, { level: 49 }))).toBe(false)
    expect(defaultOutcome(message('hello alice'), features).highlight).toBe(false)
    const ids = rulesetOf(ALICE, {}, legacy).override.map((rule) => rule.rule_id)
    expect(ids.slice(4, 8)).toEqual([
      '.m.rule.is_user_mention',
      '.m.rule.contains_display_name',
      '.m.rule.is_room_mention',
      '.m.rule.roomnotif',
    ])
    expect(rulesetOf(ALICE, {}, legacy).content[0]).toMatchObject({ pattern: 'alice', default: true })
  })
})
