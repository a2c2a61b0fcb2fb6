import { describe, expect, test } from 'vitest'
import { ALICE, BOB, event } from './auth-rules/fixtures.ts'
import type { Pdu } from './event.ts'
import type { JsonObject } from './json.ts'
import { powerLevelsOf } from './power-levels.ts'
import { mayRedact, redact, redactContent, redactionTarget } from './redaction.ts'
import { type RoomVersion, roomRules, supportedRoomVersions } from './room-versions.ts'

function pdu(type: string, content: JsonObject): Pdu {
  return {
    event_id: '$1:a.example',
    type,
    room_id: '!r:a.example',
    sender: '@a:a.example',
    state_key: '',
    content,
    hashes: { sha256: 'x' },
    signatures: { 'a.example': { 'ed25519:1': 'x' } },
    depth: 1,
    prev_events: [],
    prev_state: [],
    auth_events: [],
    origin: 'a.example',
    origin_server_ts: 1,
    membership: 'join',
    redacts: '$2:a.example',
    unsigned: { age: 1 },
    other: 1,
  } as unknown as Pdu
}

test.each(supportedRoomVersions)('the keys of an event in version %s', (version) => {
  const removed = Number(version) < 11 ? [] : ['prev_state', 'origin', 'membership']
  const kept = Object.keys(pdu('x', {})).filter((key) => ![...removed, 'redacts', 'unsigned', 'other'].includes(key))
  const redacted = redact(pdu('x', { body: 'x' }), roomRules(version))
  expect(Object.keys(redacted).sort()).toEqual(kept.sort())
  expect(redacted.content).toEqual({})
})

/** The keys that remain of an event with these and one more, by the versions in which they do. */
const tables: readonly (readonly [string, readonly string[], (version: number) => readonly string[]])[] = [
  [
    'm.room.member',
    ['membership', 'join_authorised_via_users_server', 'displayname', 'reason'],
    (v) => (v < 9 ? ['membership'] : ['membership', 'join_authorised_via_users_server']),
  ],
  [
    'm.room.create',
    ['creator', 'm.federate', 'predecessor'],
    (v) => (v < 11 ? ['creator'] : ['creator', 'm.federate', 'predecessor', 'extra']),
  ],
  ['m.room.join_rules', ['join_rule', 'allow'], (v) => (v < 8 ? ['join_rule'] : ['join_rule', 'allow'])],
  [
    'm.room.power_levels',
    [
      'ban',
      'events',
      'events_default',
      'kick',
      'redact',
      'state_default',
      'users',
      'users_default',
      'invite',
      'notifications',
    ],
    (v) => [
      ...['ban', 'events', 'events_default', 'kick', 'redact', 'state_default', 'users', 'users_default'],
      ...(v < 11 ? [] : ['invite']),
    ],
  ],
  ['m.room.aliases', ['aliases'], (v) => (v < 6 ? ['aliases'] : [])],
  ['m.room.history_visibility', ['history_visibility'], () => ['history_visibility']],
  ['m.room.redaction', ['redacts', 'reason'], (v) => (v < 11 ? [] : ['redacts'])],
  ['m.room.message', ['body', 'membership', 'creator'], () => []],
  ['toString', ['body'], () => []],
]

describe.each(supportedRoomVersions)('content in version %s', (version) => {
  test.each(tables)('%s', (type, keys, kept) => {
    const content = Object.fromEntries([...keys, 'extra'].map((key) => [key, { value: key }]))
    const redacted = redactContent(type, content, roomRules(version))
    expect(redacted).toEqual(Object.fromEntries(kept(Number(version)).map((key) => [key, { value: key }])))
  })
})

test('of a third-party invite only what was signed remains, from version 11 on', () => {
  const redacted = (version: RoomVersion, third_party_invite: JsonObject | string) =>
    redactContent('m.room.member', { membership: 'invite', third_party_invite }, roomRules(version))
  const invite = { signed: { token: 't' }, display_name: 'Bob' }
  expect(redacted('10', invite)).toEqual({ membership: 'invite' })
  expect(redacted('11', invite)).toEqual({ membership: 'invite', third_party_invite: { signed: { token: 't' } } })
  expect(redacted('11', { display_name: 'Bob' })).toEqual({ membership: 'invite', third_party_invite: {} })
  expect(redacted('11', 'x')).toEqual({ membership: 'invite' })
})

test('redacting twice changes nothing', () => {
  for (const version of supportedRoomVersions) {
    const rules = roomRules(version)
    for (const [type, keys] of tables) {
      const once = redact(pdu(type, Object.fromEntries(keys.map((key) => [key, 1]))), rules)
      expect(redact(once, rules)).toEqual(once)
    }
  }
})

test('the event itself is not changed', () => {
  const event = Object.freeze(pdu('m.room.message', Object.freeze({ body: 'x' })))
  redact(event, roomRules('12'))
  expect(event.content).toEqual({ body: 'x' })
})

test('redactionTarget', () => {
  const both = pdu('m.room.redaction', { redacts: '$content:a.example' })
  expect(redactionTarget(both, roomRules('10'))).toBe('$2:a.example')
  expect(redactionTarget(both, roomRules('11'))).toBe('$content:a.example')
  for (const redacts of [1, null, 'x', '']) {
    expect(redactionTarget(pdu('m.room.redaction', { redacts }), roomRules('11'))).toBeUndefined()
  }
})

test.each(supportedRoomVersions)('who may redact what in version %s', (version) => {
  const rules = roomRules(version)
  const levels = powerLevelsOf(
    { users: { [BOB]: 49, '@mod:c.example': 50 } },
    event(rules, { type: 'm.room.create' }),
    rules,
  )
  const by = (sender: typeof BOB, roomId?: `!${string}`) =>
    event(rules, { type: 'm.room.redaction', sender, ...(roomId === undefined ? {} : { roomId }) })
  const target = event(rules, { type: 'm.room.message', sender: ALICE })
  // Until version 2 authorisation has refused it.
  expect(mayRedact(by(BOB), target, levels, rules)).toBe(Number(version) < 3)
  expect(mayRedact(by('@other:a.example' as typeof BOB), target, levels, rules)).toBe(true)
  expect(mayRedact(by('@mod:c.example' as typeof BOB), target, levels, rules)).toBe(true)
  expect(mayRedact(by('@mod:c.example' as typeof BOB, '!other:a.example'), target, levels, rules)).toBe(false)
})
