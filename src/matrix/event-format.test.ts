import { describe, expect, test } from 'vitest'
import { canonicalJson } from './canonical-json.ts'
import { MatrixError } from './errors.ts'
import { buildEvent, type EventDraft, parseEvent } from './event-format.ts'
import { contentHash, eventIdOf, hasValidContentHash, referenceHash } from './hashes.ts'
import type { EventId } from './ids.ts'
import type { Json, JsonObject } from './json.ts'
import { MAX_EVENT_BYTES } from './limits.ts'
import { type RoomVersion, roomRules, supportedRoomVersions } from './room-versions.ts'
import { signEvent, signingKeyFromSeed, verifyEvent } from './signatures.ts'
import { parseJson } from './strict-json.ts'

const key = signingKeyFromSeed('1', Buffer.alloc(32, 1))
const hash = '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos'

function draft(version: RoomVersion, more: Partial<EventDraft> = {}): EventDraft {
  const cited: EventId = roomRules(version).eventFormat === 'v1' ? '$p:a.example' : `$${'p'.repeat(43)}`
  return {
    type: 'm.room.message',
    sender: '@alice:a.example',
    roomId: roomRules(version).createEventIsRoomId ? `!${'r'.repeat(43)}` : '!r:a.example',
    content: { msgtype: 'm.text', body: 'é "quoted"' },
    originServerTs: 1_700_000_000_000,
    depth: 7,
    prevEvents: [cited],
    authEvents: [cited, cited],
    ...(roomRules(version).eventFormat === 'v1'
      ? { eventIdLocalpart: 'local', hashesOf: new Map([[cited, hash]]) }
      : undefined),
    ...more,
  }
}

function built(version: RoomVersion, more: Partial<EventDraft> = {}) {
  return buildEvent(draft(version, more), roomRules(version), 'a.example', key)
}

function errcodeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    if (error instanceof MatrixError) return error.errcode
    throw error
  }
  return undefined
}

describe.each(supportedRoomVersions)('an event built in version %s', (version) => {
  const rules = roomRules(version)

  test.each<[string, Partial<EventDraft>]>([
    ['a message', {}],
    [
      'state',
      { type: 'm.room.member', stateKey: '@alice:a.example', content: { membership: 'join', displayname: 'A' } },
    ],
    ['a redaction', { type: 'm.room.redaction', redacts: '$x:a.example', content: { reason: 'x' } }],
    ['empty', { content: {}, prevEvents: [], authEvents: [] }],
  ])('has the hash, signature and id that others will find: %s', (_name, more) => {
    const event = built(version, more)
    expect(event.pdu.hashes.sha256).toBe(contentHash(event.pdu))
    expect(hasValidContentHash(event.pdu)).toBe(true)
    expect(verifyEvent(event.pdu, 'a.example', key.keyId, key.publicKey, rules)).toBe(true)
    expect(event.pdu.signatures).toEqual(
      signEvent({ ...event.pdu, signatures: {} }, 'a.example', key, rules).signatures,
    )
    expect(event.eventId).toBe(eventIdOf(event.pdu, rules))
    expect(event.json).toBe(canonicalJson(event.pdu))
    const { json, ...roomEvent } = event
    expect(parseEvent(parseJson(json) as JsonObject, rules)).toEqual({ event: roomEvent })
  })

  test('is not valid once changed', () => {
    const { pdu } = built(version)
    const changed = { ...pdu, content: { ...pdu.content, body: 'other' } }
    expect(hasValidContentHash(changed)).toBe(false)
    expect(verifyEvent(changed, 'a.example', key.keyId, key.publicKey, rules)).toBe(true)
    expect(verifyEvent({ ...pdu, depth: 8 }, 'a.example', key.keyId, key.publicKey, rules)).toBe(false)
  })

  test('has its edges in the form of the version', () => {
    const event = built(version)
    const cited = draft(version).prevEvents[0]
    expect(event.prevEvents).toEqual([cited])
    expect(event.authEvents).toEqual([cited, cited])
    expect(event.pdu.prev_events).toEqual(rules.eventFormat === 'v1' ? [[cited, { sha256: hash }]] : [cited])
    expect(event.pdu.event_id).toBe(rules.eventFormat === 'v1' ? '$local:a.example' : undefined)
  })

  test('names what it redacts where the version wants it', () => {
    const { pdu } = built(version, { type: 'm.room.redaction', redacts: '$x:a.example', content: {} })
    expect([pdu.redacts, pdu.content.redacts]).toEqual(
      Number(version) < 11 ? ['$x:a.example', undefined] : [undefined, '$x:a.example'],
    )
  })
})

test('the create event of version 12 is the room', () => {
  const rules = roomRules('12')
  const { roomId: _roomId, ...withoutRoom } = draft('12', {
    type: 'm.room.create',
    stateKey: '',
    prevEvents: [],
    authEvents: [],
  })
  const create = buildEvent(withoutRoom, rules, 'a.example', key)
  expect(create.roomId).toBe(`!${create.eventId.slice(1)}`)
  expect(create.pdu).not.toHaveProperty('room_id')
  expect(create.eventId).toBe(`$${referenceHash(create.pdu, rules).replaceAll('+', '-').replaceAll('/', '_')}`)
  expect(parseEvent(create.pdu, rules)).toMatchObject({ event: { roomId: create.roomId } })
  expect(parseEvent({ ...create.pdu, room_id: create.roomId }, rules)).toHaveProperty('error')
})

test('events too large are not built', () => {
  const size = (bytes: number) => ({ content: { body: 'x'.repeat(bytes) } })
  const room = MAX_EVENT_BYTES - Buffer.byteLength(built('12', size(0)).json)
  expect(Buffer.byteLength(built('12', size(room)).json)).toBe(MAX_EVENT_BYTES)
  expect(errcodeOf(() => built('12', size(room + 1)))).toBe('M_TOO_LARGE')
  expect(errcodeOf(() => built('12', { type: 'é'.repeat(128) }))).toBe('M_TOO_LARGE')
  expect(errcodeOf(() => built('12', { stateKey: 'x'.repeat(256) }))).toBe('M_TOO_LARGE')
  expect(errcodeOf(() => built('1', { content: { x: 1.5 } }))).toBe('M_BAD_JSON')
})

test('a hash that an old version needs and nobody gave is a bug', () => {
  expect(() => built('1', { hashesOf: new Map() })).toThrow('No hash')
})

test('a room id or event id that is missing, or a room id too many, is a bug', () => {
  const { roomId: _roomId, ...withoutRoom } = draft('12')
  expect(() => buildEvent(withoutRoom, roomRules('12'), 'a.example', key)).toThrow('room id')
  expect(() => built('12', { type: 'm.room.create' })).toThrow('room id')
  const { eventIdLocalpart: _localpart, ...withoutId } = draft('1')
  expect(() => buildEvent(withoutId, roomRules('1'), 'a.example', key)).toThrow('event ids')
})

describe.each(['2', '5', '6', '12'] as const)('parseEvent in version %s', (version) => {
  const rules = roomRules(version)
  const { pdu } = built(version)
  const edge = pdu.prev_events[0] as Json
  const parse = (changes: JsonObject) => 'event' in parseEvent({ ...pdu, ...changes } as JsonObject, rules)

  test.each([
    'type',
    'sender',
    'room_id',
    'content',
    'origin_server_ts',
    'depth',
    'prev_events',
    'auth_events',
    'hashes',
    'signatures',
  ])('needs %s', (name) => {
    const { [name]: _removed, ...rest } = pdu as unknown as JsonObject
    expect(parseEvent(rest, rules)).toHaveProperty('error')
    for (const value of [null, true, [1], { a: 1 }, '', 'x'.repeat(256)]) {
      if (name === 'content' && typeof value === 'object' && !Array.isArray(value) && value !== null) continue
      if (name === 'type' && value === '') continue
      expect(parse({ [name]: value as Json })).toBe(false)
    }
  })

  test('keeps keys it does not know', () => {
    const input = { ...pdu, unsigned: { age: 1 }, other: { ['__proto__']: 1 } } as JsonObject
    const result = parseEvent(input, rules)
    expect('event' in result && result.event.pdu).toBe(input)
  })

  test('depth', () => {
    for (const depth of [0, 1, Number.MAX_SAFE_INTEGER]) expect(parse({ depth })).toBe(true)
    for (const depth of [-1, 1.5, 2 ** 53, 2 ** 63, '7', true]) expect(parse({ depth })).toBe(false)
  })

  test('edges', () => {
    expect(parse({ prev_events: Array(20).fill(edge), auth_events: Array(10).fill(edge) })).toBe(true)
    expect(parse({ prev_events: Array(21).fill(edge) })).toBe(false)
    expect(parse({ auth_events: Array(11).fill(edge) })).toBe(false)
    const otherForm = rules.eventFormat === 'v1' ? '$p:a.example' : ['$p:a.example', { sha256: hash }]
    for (const bad of [otherForm, 1, null, 'x', [], {}]) expect(parse({ prev_events: [bad] })).toBe(false)
  })

  test('ids', () => {
    expect(parse({ state_key: '' })).toBe(true)
    for (const state_key of [null, 1, 'é'.repeat(256)]) expect(parse({ state_key })).toBe(false)
    for (const sender of ['alice', '@alice', '@alice:a b', '@a\0:a.example']) expect(parse({ sender })).toBe(false)
    const otherRoom = rules.createEventIsRoomId ? '!r:a.example' : `!${'r'.repeat(43)}`
    expect(parse({ room_id: otherRoom })).toBe(false)
    if (rules.eventFormat === 'v1') {
      for (const event_id of ['$x', 1, null, 'x:a.example']) expect(parse({ event_id })).toBe(false)
    }
  })

  test('signatures, hashes, unsigned', () => {
    expect(parse({ signatures: {}, unsigned: {} })).toBe(true)
    for (const signatures of [{ a: 1 }, { a: { b: 1 } }, { a: [] }]) expect(parse({ signatures })).toBe(false)
    expect(parse({ hashes: { sha256: 1 } })).toBe(false)
    for (const unsigned of [null, [], 'x']) expect(parse({ unsigned })).toBe(false)
  })

  test('numbers', () => {
    const loose = (text: string) =>
      parseJson(JSON.stringify(pdu).replace('"depth":7', `"depth":7,"x":${text}`), { integers: 'any' })
    for (const text of ['1.5', '1.0', '1e3', '-0', '9007199254740992']) {
      expect('event' in parseEvent(loose(text) as JsonObject, rules)).toBe(!rules.strictIntegers)
    }
  })

  test('size', () => {
    const room = MAX_EVENT_BYTES - Buffer.byteLength(canonicalJson({ ...pdu, content: { body: '' } } as JsonObject))
    expect(parse({ content: { body: 'x'.repeat(room) } })).toBe(true)
    expect(parse({ content: { body: 'x'.repeat(room + 1) } })).toBe(false)
  })

  test('redacts', () => {
    expect(parse({ type: 'm.room.redaction', redacts: 1 })).toBe(rules.redactsIn === 'content')
    expect(parse({ redacts: 1 })).toBe(true)
  })
})

test.each([
  ['10', 70, true],
  ['10', 256, false],
  ['11', 63, true],
  ['11', 70, false],
  ['12', 70, false],
] as const)('in version %s a state key of %i four-byte characters: %s', (version, length, isEvent) => {
  const { pdu } = built(version, { stateKey: 'k' })
  const parsed = parseEvent({ ...pdu, state_key: '💥'.repeat(length) } as unknown as JsonObject, roomRules(version))
  expect('event' in parsed).toBe(isEvent)
})
