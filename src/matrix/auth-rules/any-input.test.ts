import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseEvent } from '../event-format.ts'
import type { Json, JsonObject } from '../json.ts'
import { redact } from '../redaction.ts'
import { authTypesFor } from './auth-types.ts'
import { checkAuth } from './check-auth.ts'
import { ALICE, BOB, CAROL, type EventInput, event, stateOf, versions } from './fixtures.ts'
import { requiredSigners } from './required-signers.ts'

/** Keys and values the rules look at, in all the places they do not belong, among any others. */
const value = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<Json>(null, true, 0, 50, -1, 1.5, '', '50', 'join', 'invite', 'ban', 'leave', 'knock', ALICE, BOB),
    fc.array(tie('value') as fc.Arbitrary<Json>, { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        ...[
          'membership',
          'third_party_invite',
          'signed',
          'mxid',
          'token',
          'signatures',
          'join_rule',
          'users',
          'events',
        ],
        ...['notifications', 'ban', 'users_default', 'creator', 'additional_creators', 'room_version', 'm.federate'],
        ...['public_key', 'public_keys', 'join_authorised_via_users_server', 'redacts', '__proto__', 'toString', BOB],
      ),
      tie('value') as fc.Arbitrary<Json>,
      { maxKeys: 5 },
    ),
  ) as fc.Arbitrary<Json>,
})).value
const content = value.filter(
  (json): json is JsonObject => typeof json === 'object' && json !== null && !Array.isArray(json),
)

const types = [
  ...['m.room.create', 'm.room.member', 'm.room.power_levels', 'm.room.join_rules', 'm.room.third_party_invite'],
  ...['m.room.redaction', 'm.room.aliases', 'm.room.message', ''],
]
const input: fc.Arbitrary<EventInput> = fc.record({
  type: fc.constantFrom(...types),
  sender: fc.constantFrom(ALICE, BOB, CAROL),
  stateKey: fc.constantFrom('', ALICE, BOB, 'token', '@', 'a.example'),
  content,
})

test('the rules have an answer to any event in any state', () => {
  fc.assert(
    fc.property(input, fc.array(input, { maxLength: 6 }), fc.constantFrom(...versions(1)), (each, others, rules) => {
      const state = stateOf(rules, { others: others.map((other) => event(rules, other)) })
      const subject = event(rules, each)
      const verdict = checkAuth(subject, state, rules)
      expect(verdict.allowed || verdict.reason.length > 0).toBe(true)
      const redacted = redact(subject.pdu, rules)
      expect(redact(redacted, rules)).toEqual(redacted)
      expect(requiredSigners(subject, rules).every((name) => typeof name === 'string')).toBe(true)
      const { type, sender, state_key: stateKey } = subject.pdu
      const keys = authTypesFor({ type, sender, stateKey, content: subject.pdu.content }, rules).map((key) =>
        key.join('\0'),
      )
      expect(new Set(keys).size).toBe(keys.length)
    }),
    { numRuns: 2000 },
  )
})

test('anything can be parsed as an event, or is refused', () => {
  const keys = [
    'type',
    'sender',
    'room_id',
    'content',
    'depth',
    'prev_events',
    'auth_events',
    'hashes',
    'signatures',
    'event_id',
  ]
  const pdu = fc.dictionary(fc.constantFrom(...keys, 'origin_server_ts', 'state_key', 'unsigned', 'redacts'), value)
  fc.assert(
    fc.property(pdu, fc.constantFrom(...versions(1)), (json, rules) => {
      expect(Object.keys(parseEvent(json as JsonObject, rules))).toHaveLength(1)
    }),
    { numRuns: 2000 },
  )
})
