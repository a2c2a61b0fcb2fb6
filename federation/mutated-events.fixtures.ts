import fc from 'fast-check'
import { roomIdOfCreate } from '../src/matrix/event.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signingKeyFromSeed } from '../src/matrix/signatures.ts'
import type { HostileRoom } from './attacked-room.fixtures.ts'

/** An event that may be anything, with the id it has if it has one. */
export type Mutated = { readonly json: JsonObject; readonly eventId: string }

type Change =
  | { readonly kind: 'set'; readonly name: string; readonly value: unknown }
  | { readonly kind: 'content'; readonly name: string; readonly value: unknown }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'edges'; readonly name: 'prev_events' | 'auth_events'; readonly picks: readonly number[] }

export type Mutation = {
  readonly template: number
  readonly changes: readonly Change[]
  readonly proof: 'right' | 'key' | 'hash' | 'none'
}

const templates: readonly { type: string; stateKey?: string; content: JsonObject }[] = [
  { type: 'm.room.message', content: { msgtype: 'm.text', body: 'mutated' } },
  { type: 'm.room.name', stateKey: '', content: { name: 'x' } },
  { type: 'm.room.topic', stateKey: '', content: { topic: 'x' } },
  { type: 'm.room.member', stateKey: 'own', content: { membership: 'join', displayname: 'm' } },
  { type: 'm.room.member', stateKey: 'other', content: { membership: 'join' } },
  { type: 'm.room.member', stateKey: 'other', content: { membership: 'invite' } },
  { type: 'm.room.member', stateKey: 'other', content: { membership: 'knock' } },
  { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } },
  { type: 'm.room.history_visibility', stateKey: '', content: { history_visibility: 'shared' } },
  { type: 'm.room.power_levels', stateKey: '', content: { users: {}, state_default: 50 } },
  { type: 'm.room.third_party_invite', stateKey: 'token', content: { display_name: 'x', public_key: 'x' } },
  { type: 'm.room.canonical_alias', stateKey: '', content: { alias: '#x:y.test' } },
  { type: 'm.room.encryption', stateKey: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
  { type: 'm.reaction', content: { 'm.relates_to': { rel_type: 'm.annotation', event_id: '$x', key: 'k' } } },
  { type: 'm.room.redaction', content: { redacts: '$x', reason: 'x' } },
  { type: 'm.room.create', stateKey: '', content: { room_version: '12' } },
]

const names = [
  ...['type', 'sender', 'room_id', 'state_key', 'content', 'origin_server_ts', 'depth', 'prev_events', 'auth_events'],
  ...[
    'hashes',
    'signatures',
    'unsigned',
    'redacts',
    'event_id',
    'origin',
    'msc4354_sticky',
    '__proto__',
    'constructor',
  ],
]
const contentNames = [
  ...[
    'membership',
    'displayname',
    'avatar_url',
    'reason',
    'users',
    'events',
    'ban',
    'users_default',
    'join_rule',
    'allow',
  ],
  ...[
    'join_authorised_via_users_server',
    'third_party_invite',
    'm.relates_to',
    'm.new_content',
    'm.mentions',
    'redacts',
  ],
  ...[
    'body',
    'msgtype',
    'history_visibility',
    'room_version',
    'additional_creators',
    'creator',
    'predecessor',
    '__proto__',
  ],
]
const text = fc.oneof(
  fc.constantFrom(
    '',
    '\0',
    'a\0b',
    '__proto__',
    '@',
    '!',
    '$',
    '#',
    ':',
    '@x:',
    '@:y.test',
    '@m:127.0.0.1',
    '\u2028',
    '😀',
  ),
  fc.constantFrom('x'.repeat(255), 'x'.repeat(256), 'é'.repeat(200), 'x'.repeat(70_000), '$'.padEnd(44, 'x')),
  fc.constantFrom(
    'm.room.member',
    'm.room.create',
    'm.room.power_levels',
    'join',
    'leave',
    'ban',
    'invite',
    'restricted',
  ),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
)
const number = fc.constantFrom(
  0,
  -1,
  1,
  50,
  100,
  101,
  1.5,
  1e21,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 63,
  -(2 ** 53),
  253_402_300_800_000,
)
const nested = fc
  .integer({ min: 2, max: 80 })
  .map((depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown)
const value = fc.oneof(
  text,
  number,
  nested,
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    [],
    {},
    [null],
    { '': '' },
    Array.from({ length: 50 }, () => 0),
  ),
  fc.jsonValue({ maxDepth: 3 }),
)
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('set'), name: fc.constantFrom(...names), value }) as fc.Arbitrary<Change>,
  fc.record({ kind: fc.constant('content'), name: fc.constantFrom(...contentNames), value }) as fc.Arbitrary<Change>,
  fc.record({ kind: fc.constant('delete'), name: fc.constantFrom(...names) }) as fc.Arbitrary<Change>,
  fc.record({
    kind: fc.constant('edges'),
    name: fc.constantFrom('prev_events', 'auth_events'),
    picks: fc.array(fc.nat({ max: 30 }), { maxLength: 24 }),
  }) as fc.Arbitrary<Change>,
)

/** What is done to an event: it is signed again afterwards, in most cases. */
export const mutation: fc.Arbitrary<Mutation> = fc.record({
  template: fc.nat({ max: templates.length - 1 }),
  changes: fc.array(change, { minLength: 1, maxLength: 3 }),
  proof: fc.oneof(
    { weight: 9, arbitrary: fc.constant('right' as const) },
    { weight: 1, arbitrary: fc.constantFrom('key' as const, 'hash' as const, 'none' as const) },
  ),
})

const wrongKey = signingKeyFromSeed('hostile', Buffer.alloc(32, 1))

/** The mutated event in a room, signed by the hostile server. `count` makes it another one each time. */
export function mutate(room: HostileRoom, { template, changes, proof }: Mutation, count: number): Mutated {
  const { type, stateKey, content } = templates[template]!
  const other = room.user(`other${count}`)
  const own = stateKey === 'own' ? room.user() : other
  const isMember = type === 'm.room.member'
  const isOthersOwn = isMember && stateKey === 'other' && content.membership !== 'invite'
  const { pdu } = room.build({
    // Version 12 has no create event that names its room: it becomes one by its type.
    type: type === 'm.room.create' ? 'm.room.message' : type,
    ...(stateKey !== undefined && { stateKey: isMember ? own : stateKey }),
    ...(isOthersOwn && { sender: other }),
    content: { ...content, count },
    over: { type },
  })
  let json: JsonObject = { ...pdu }
  for (const one of changes) json = changed(room, json, one)
  return proved(room, json, proof)
}

function changed(room: HostileRoom, json: JsonObject, change: Change): JsonObject {
  if (change.kind === 'delete') return withMember(json, change.name, undefined)
  if (change.kind === 'set') return withMember(json, change.name, change.value)
  if (change.kind === 'edges') return withMember(json, change.name, edgesOf(room, change.picks))
  const { content } = json
  const isObject = typeof content === 'object' && content !== null && !Array.isArray(content)
  return isObject ? { ...json, content: withMember(content as JsonObject, change.name, change.value) } : json
}

/** As parsed JSON has it: also `__proto__` is a member like any other. */
function withMember(json: JsonObject, name: string, value: unknown): JsonObject {
  const entries = Object.entries(json).filter(([key]) => key !== name)
  return Object.fromEntries(value === undefined ? entries : [...entries, [name, value]]) as JsonObject
}

/** Events of the room, the same more than once, and some that nobody knows. */
function edgesOf(room: HostileRoom, picks: readonly number[]): unknown[] {
  const known = [...room.state.values()]
  return picks.map((pick) => {
    const eventId = known[pick]?.eventId ?? `$${String(pick).padStart(43, 'u')}`
    return room.rules.eventFormat === 'v1' ? [eventId, { sha256: 'x' }] : eventId
  })
}

function proved(room: HostileRoom, json: JsonObject, proof: Mutation['proof']): Mutated {
  const { hostile, rules } = room
  const own = hostile.key
  if (proof === 'key') hostile.key = wrongKey
  try {
    const { pdu, eventId } = hostile.stamp(json, rules)
    if (proof === 'none') return { json: { ...pdu, signatures: {} }, eventId }
    if (proof === 'hash') return { json: { ...pdu, hashes: { sha256: 'x' } }, eventId }
    return { json: { ...pdu } as JsonObject, eventId }
  } catch {
    // Nothing that can be hashed and signed: it is sent all the same.
    return { json, eventId: roomIdOfCreate(`$${'n'.repeat(43)}`).replace('!', '$') }
  } finally {
    hostile.key = own
  }
}
