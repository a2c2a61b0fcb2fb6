import { describe, expect, test } from 'vitest'
import { type RoomRules, roomRules } from '../room-versions.ts'
import { checkAuth } from './check-auth.ts'
import { ALICE, BOB, CREATE_ID, type EventInput, event, type StateInput, stateOf, versions } from './fixtures.ts'

function isAllowed(rules: RoomRules, input: EventInput, state?: StateInput): boolean {
  return checkAuth(event(rules, input), stateOf(rules, state), rules).allowed
}

/** The versions in which the event is allowed. */
function allowedIn(input: EventInput, state?: StateInput): readonly number[] {
  return versions(1)
    .filter((rules) => isAllowed(rules, input, state))
    .map((rules) => Number(rules.version))
}

const ALL = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
const from = (first: number, last = 12) => ALL.filter((version) => version >= first && version <= last)

describe('m.room.create', () => {
  const create = (input: Partial<EventInput>): EventInput => ({ type: 'm.room.create', stateKey: '', ...input })

  test('needs a creator until version 10', () => {
    expect(allowedIn(create({ content: { creator: ALICE } }))).toEqual(ALL)
    expect(allowedIn(create({}))).toEqual(from(11))
  })
  test('has no prev_events', () => {
    expect(allowedIn(create({ content: { creator: ALICE }, prevEvents: ['$x:a.example'] }))).toEqual([])
  })
  test('is of the server of the room id, where that names one', () => {
    expect(allowedIn(create({ content: { creator: BOB }, sender: BOB }))).toEqual([12])
  })
  test.each([
    ['1', true],
    ['12', true],
    ['13', false],
    ['org.example.other', false],
    [12, false],
    [null, false],
  ])('room_version %j', (version, isKnown) => {
    expect(allowedIn(create({ content: { creator: ALICE, room_version: version } }))).toEqual(isKnown ? ALL : [])
  })
  test('has no room_id in version 12', () => {
    const rules = roomRules('12')
    const built = event(rules, create({}))
    const named = { ...built, pdu: { ...built.pdu, room_id: built.roomId } }
    expect(checkAuth(built, stateOf(rules), rules).allowed).toBe(true)
    expect(checkAuth(named, stateOf(rules), rules).allowed).toBe(false)
  })
  test.each([
    [[], true],
    [[BOB], true],
    [['@historical User:b.example'], true],
    [BOB, false],
    [{}, false],
    [null, false],
    [[1], false],
    [['bob'], false],
    [['@bob'], false],
    [[`@${'b'.repeat(250)}:b.example`], false],
  ])('additional_creators %j in version 12', (creators, isValid) => {
    const input = create({ content: { additional_creators: creators } })
    expect(isAllowed(roomRules('12'), input)).toBe(isValid)
    expect(isAllowed(roomRules('11'), input)).toBe(true)
  })
})

describe('the room', () => {
  const message: EventInput = { type: 'm.room.message' }

  test('must have been created', () => {
    for (const rules of versions(1)) {
      expect(checkAuth(event(rules, message), { get: () => undefined }, rules).allowed).toBe(false)
    }
  })
  test('id is the id of the create event from version 12 on', () => {
    const rules = roomRules('12')
    const elsewhere = event(rules, { ...message, roomId: `!${'x'.repeat(43)}` })
    expect(checkAuth(elsewhere, stateOf(rules), rules).allowed).toBe(false)
  })
  test.each([
    [false, []],
    [true, ALL],
    ['false', ALL],
  ])('m.federate %j keeps other servers out', (federate, allowed) => {
    const state = { create: { creator: ALICE, 'm.federate': federate }, members: { [ALICE]: 'join', [BOB]: 'join' } }
    expect(allowedIn({ ...message, sender: BOB }, state)).toEqual(allowed)
    expect(allowedIn(message, state)).toEqual(ALL)
  })
})

describe('m.room.aliases', () => {
  const aliases = (stateKey: string, sender = BOB): EventInput => ({
    type: 'm.room.aliases',
    stateKey,
    sender: sender as typeof BOB,
  })
  test('are for the server they name until version 5, member or not', () => {
    expect(allowedIn(aliases('b.example'))).toEqual(from(1, 5))
    expect(allowedIn(aliases('a.example'))).toEqual([])
    expect(allowedIn({ type: 'm.room.aliases', sender: BOB })).toEqual([])
  })
  test('are like other state later', () => {
    expect(allowedIn(aliases('elsewhere', ALICE as never))).toEqual(from(6))
  })
})

describe('any other event', () => {
  const members = { [ALICE]: 'join', [BOB]: 'join' }

  test.each(['invite', 'leave', 'ban', 'knock'])('is not for a sender whose membership is %s', (membership) => {
    const state = { members: { [ALICE]: 'join', [BOB]: membership }, levels: { users: {} } }
    expect(allowedIn({ type: 'm.room.message', sender: BOB }, state)).toEqual([])
    expect(allowedIn({ type: 'm.room.message', sender: '@nobody:b.example' }, state)).toEqual([])
  })

  test('needs the level of its type, or else of messages or of state', () => {
    const levels = { users: { [BOB]: 20 }, events: { low: 10, high: 30 }, events_default: 25, state_default: 15 }
    const bob = (type: string, stateKey?: string): EventInput => ({
      type,
      sender: BOB,
      ...(stateKey === undefined ? {} : { stateKey }),
    })
    expect(allowedIn(bob('low'), { members, levels })).toEqual(ALL)
    expect(allowedIn(bob('low', ''), { members, levels })).toEqual(ALL)
    expect(allowedIn(bob('high'), { members, levels })).toEqual([])
    expect(allowedIn(bob('other'), { members, levels })).toEqual([])
    expect(allowedIn(bob('other', ''), { members, levels })).toEqual(ALL)
  })

  test('has defaults without power levels: the creator may do anything, others send messages', () => {
    expect(allowedIn({ type: 'm.room.name', stateKey: '' }, { members })).toEqual(ALL)
    expect(allowedIn({ type: 'm.room.name', stateKey: '', sender: BOB }, { members })).toEqual([])
    expect(allowedIn({ type: 'm.room.message', sender: BOB }, { members })).toEqual(ALL)
  })

  test('the creator is whom the content names until version 10', () => {
    const state = { create: { creator: BOB }, members }
    expect(allowedIn({ type: 'm.room.name', stateKey: '', sender: BOB }, state)).toEqual(from(1, 10))
    expect(allowedIn({ type: 'm.room.name', stateKey: '', sender: ALICE }, state)).toEqual(from(11))
  })

  test('creators are above every level from version 12 on', () => {
    const levels = { users: { [BOB]: 100 }, events: { high: 1000 } }
    const state = { create: { creator: ALICE, additional_creators: [BOB] }, members, levels }
    expect(allowedIn({ type: 'high', sender: BOB }, state)).toEqual([12])
    expect(allowedIn({ type: 'high', sender: ALICE }, state)).toEqual([12])
  })

  test('does not carry another user in its state key', () => {
    const levels = { state_default: 0 }
    expect(allowedIn({ type: 'x', stateKey: BOB }, { members, levels })).toEqual([])
    expect(allowedIn({ type: 'x', stateKey: '@' }, { members, levels })).toEqual([])
    expect(allowedIn({ type: 'x', stateKey: ALICE }, { members, levels })).toEqual(ALL)
    expect(allowedIn({ type: 'x', stateKey: 'bob' }, { members, levels })).toEqual(ALL)
  })

  test('a third-party invite needs the level to invite and no other', () => {
    const invite: EventInput = { type: 'm.room.third_party_invite', stateKey: 'token', sender: BOB }
    expect(allowedIn(invite, { members, levels: { invite: 0, state_default: 50 } })).toEqual(ALL)
    expect(allowedIn(invite, { members, levels: { invite: 1 } })).toEqual([])
    expect(allowedIn(invite, { members: { [ALICE]: 'join' }, levels: {} })).toEqual([])
  })
})

describe('m.room.redaction', () => {
  const members = { [ALICE]: 'join', [BOB]: 'join' }
  const redaction = (redacts: `$${string}`): EventInput => ({
    type: 'm.room.redaction',
    sender: BOB,
    redacts,
    eventId: '$redaction:b.example',
  })
  test('needs the redact level or an event of the same server in versions 1 and 2', () => {
    expect(allowedIn(redaction('$x:b.example'), { members })).toEqual(ALL)
    expect(allowedIn(redaction('$x:a.example'), { members })).toEqual(from(3))
    expect(allowedIn(redaction('$nowhere'), { members })).toEqual(from(3))
    expect(allowedIn(redaction('$x:a.example'), { members, levels: { users: { [BOB]: 50 } } })).toEqual(ALL)
    expect(allowedIn(redaction('$x:a.example'), { members, levels: { redact: 0 } })).toEqual(ALL)
  })
  test('needs the level of its type in all', () => {
    const levels = { events: { 'm.room.redaction': 1 }, redact: 0 }
    expect(allowedIn(redaction('$x:b.example'), { members, levels })).toEqual([])
  })
})

test('the create event of the fixtures is that of the room', () => {
  expect(event(roomRules('12'), { type: 'm.room.create' }).eventId).toBe(CREATE_ID)
})
