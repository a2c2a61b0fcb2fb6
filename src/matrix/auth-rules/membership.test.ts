import { describe, expect, test } from 'vitest'
import { encodeBase64 } from '../base64.ts'
import type { EventId, UserId } from '../ids.ts'
import type { JsonObject } from '../json.ts'
import { signingKeyFromSeed, signJson } from '../signatures.ts'
import { checkAuth } from './check-auth.ts'
import { ALICE, BOB, CAROL, CREATE_ID, type EventInput, event, type StateInput, stateOf, versions } from './fixtures.ts'
import { requiredSigners } from './required-signers.ts'

function allowedIn(input: EventInput, state?: StateInput): readonly number[] {
  return versions(1)
    .filter((rules) => checkAuth(event(rules, input), stateOf(rules, state), rules).allowed)
    .map((rules) => Number(rules.version))
}

const ALL = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
const from = (first: number, last = 12) => ALL.filter((version) => version >= first && version <= last)

function member(sender: UserId, stateKey: string, membership: string, content: JsonObject = {}): EventInput {
  return { type: 'm.room.member', sender, stateKey, content: { membership, ...content } }
}

test('a membership has a user and a membership we know', () => {
  expect(allowedIn({ type: 'm.room.member', content: { membership: 'join' } }, { joinRule: 'public' })).toEqual([])
  expect(allowedIn({ type: 'm.room.member', stateKey: ALICE }, { joinRule: 'public' })).toEqual([])
  expect(allowedIn(member(ALICE, ALICE, 'present'))).toEqual([])
  expect(allowedIn({ type: 'm.room.member', stateKey: ALICE, content: { membership: 1 } })).toEqual([])
  expect(allowedIn(member(ALICE, 'bob', 'invite'))).toEqual([])
})

describe('join', () => {
  test.each([
    ['public', undefined, ALL],
    ['public', 'leave', ALL],
    ['public', 'ban', []],
    ['invite', undefined, []],
    ['invite', 'leave', []],
    ['invite', 'invite', ALL],
    ['invite', 'join', ALL],
    ['invite', 'ban', []],
    ['knock', 'invite', from(7)],
    ['knock', 'knock', []],
    ['knock', undefined, []],
    ['restricted', 'invite', from(8)],
    ['restricted', 'join', from(8)],
    ['restricted', 'leave', []],
    ['restricted', 'ban', []],
    ['knock_restricted', 'invite', from(10)],
    ['knock_restricted', 'knock', []],
    ['private', 'invite', []],
    ['other', 'join', []],
    [undefined, 'invite', ALL],
    [undefined, undefined, []],
  ])('where the rule is %s and the membership %s', (joinRule, membership, allowed) => {
    const state: StateInput = {
      members: { [ALICE]: 'join', ...(membership === undefined ? {} : { [BOB]: membership }) },
      ...(joinRule === undefined ? {} : { joinRule }),
    }
    expect(allowedIn(member(BOB, BOB, 'join'), state)).toEqual(allowed)
  })

  test('is not for somebody else', () => {
    expect(allowedIn(member(ALICE, BOB, 'join'), { joinRule: 'public' })).toEqual([])
  })

  test('of the creator right after the create event', () => {
    const first = (user: UserId, prevEvents: readonly EventId[] = [CREATE_ID]): EventInput => ({
      ...member(user, user, 'join'),
      prevEvents,
    })
    const state: StateInput = { members: {}, create: { creator: ALICE, additional_creators: [BOB] } }
    expect(allowedIn(first(ALICE), state)).toEqual(ALL)
    expect(allowedIn(first(BOB), state)).toEqual([])
    expect(allowedIn(first(ALICE, [CREATE_ID, '$x:a.example']), state)).toEqual([])
    expect(allowedIn(first(ALICE, ['$x:a.example']), state)).toEqual([])
    expect(allowedIn(first(ALICE, []), state)).toEqual([])
    expect(allowedIn(first(BOB), { members: {}, create: { creator: BOB } })).toEqual(from(1, 10))
  })
})

describe('a restricted join', () => {
  const authorised = (via: unknown, signedBy: readonly string[] = ['b.example', 'a.example']): EventInput => ({
    ...member(BOB, BOB, 'join', { join_authorised_via_users_server: via as string }),
    signedBy,
  })
  const state: StateInput = { joinRule: 'restricted', levels: { invite: 50, users: { [ALICE]: 50, [CAROL]: 50 } } }

  test('is authorised by a member who may invite', () => {
    expect(allowedIn(authorised(ALICE), state)).toEqual(from(8))
    expect(allowedIn(authorised(ALICE), { ...state, levels: { invite: 50 } })).toEqual([12])
    expect(allowedIn(authorised(ALICE), { ...state, joinRule: 'knock_restricted' })).toEqual(from(10))
    expect(allowedIn(authorised(ALICE), { ...state, levels: { invite: 51, users: { [ALICE]: 50 } } })).toEqual([12])
    expect(allowedIn(authorised(CAROL, ['c.example']), state)).toEqual([])
    expect(allowedIn(member(BOB, BOB, 'join'), state)).toEqual([])
  })

  test('is signed by the server of who authorised it, whatever else allows it', () => {
    expect(allowedIn(authorised(ALICE, ['b.example']), state)).toEqual([])
    const invited = { ...state, members: { [ALICE]: 'join', [BOB]: 'invite' } }
    expect(allowedIn(authorised(ALICE, ['b.example']), invited)).toEqual([])
    expect(allowedIn(authorised(1), invited)).toEqual([])
    expect(allowedIn(authorised('alice'), invited)).toEqual([])
    expect(allowedIn(authorised(ALICE, ['b.example']), { ...invited, joinRule: 'public' })).toEqual(from(1, 7))
  })
})

describe('invite', () => {
  test.each([
    ['join', undefined, ALL],
    ['join', 'leave', ALL],
    ['join', 'invite', ALL],
    ['join', 'knock', ALL],
    ['join', 'join', []],
    ['join', 'ban', []],
    ['leave', undefined, []],
    ['invite', undefined, []],
  ])('by a user whose membership is %s, of one whose is %s', (inviter, invited, allowed) => {
    const members = { [BOB]: inviter, ...(invited === undefined ? {} : { [CAROL]: invited }) }
    expect(allowedIn(member(BOB, CAROL, 'invite'), { members })).toEqual(allowed)
  })

  test('needs the level', () => {
    const members = { [BOB]: 'join' }
    expect(allowedIn(member(BOB, CAROL, 'invite'), { members, levels: { invite: 1 } })).toEqual([])
    expect(allowedIn(member(BOB, CAROL, 'invite'), { members, levels: { invite: 1, users_default: 1 } })).toEqual(ALL)
  })
})

describe('a third-party invite', () => {
  const key = signingKeyFromSeed('0', Buffer.alloc(32, 1))
  const publicKey = encodeBase64(key.publicKey)
  const signed = signJson({ mxid: CAROL, token: 'token' }, 'id.example', key)
  const origin = (content: JsonObject) => (rules: Parameters<typeof event>[0]) =>
    event(rules, { type: 'm.room.third_party_invite', sender: BOB, stateKey: 'token', content })
  const verdicts = (
    content: JsonObject,
    keys: JsonObject,
    members: { readonly [userId: string]: string } = { [BOB]: 'leave' },
    sender: UserId = BOB,
  ) =>
    versions(1)
      .filter((rules) => {
        const state = stateOf(rules, { members, others: [origin(keys)(rules)] })
        return checkAuth(event(rules, member(sender, CAROL, 'invite', content)), state, rules).allowed
      })
      .map((rules) => Number(rules.version))

  test('is allowed by a signature of any of the keys', () => {
    expect(verdicts({ third_party_invite: { signed } }, { public_key: publicKey })).toEqual(ALL)
    const others = [{ public_key: encodeBase64(Buffer.alloc(32, 9)) }, 1, { public_key: publicKey }]
    expect(verdicts({ third_party_invite: { signed } }, { public_keys: others })).toEqual(ALL)
  })

  test.each<[string, JsonObject]>([
    ['not signed', {}],
    ['signed by nobody', { signed: { mxid: CAROL, token: 'token' } }],
    ['for somebody else', { signed: signJson({ mxid: ALICE, token: 'token' }, 'id.example', key) }],
    ['of another token', { signed: signJson({ mxid: CAROL, token: 'other' }, 'id.example', key) }],
    ['without token', { signed: signJson({ mxid: CAROL }, 'id.example', key) }],
    ['without mxid', { signed: signJson({ token: 'token' }, 'id.example', key) }],
    ['changed after signing', { signed: { ...signed, extra: 1 } }],
  ])('is refused: %s', (_name, invite) => {
    expect(verdicts({ third_party_invite: invite }, { public_key: publicKey })).toEqual([])
  })

  test('is refused to the banned, by another sender, and without the key', () => {
    const content = { third_party_invite: { signed } }
    expect(verdicts(content, { public_key: publicKey }, { [CAROL]: 'ban' })).toEqual([])
    expect(verdicts(content, { public_key: publicKey }, { [ALICE]: 'join' }, ALICE)).toEqual([])
    expect(verdicts(content, {})).toEqual([])
    expect(verdicts(content, { public_key: 'nonsense' })).toEqual([])
    expect(verdicts({ third_party_invite: null }, { public_key: publicKey }, { [BOB]: 'join' })).toEqual([])
  })

  test('costs a bounded number of checks', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`ed25519:${i}`, 'A'.repeat(86)]))
    const keys = Array.from({ length: 500 }, () => ({ public_key: encodeBase64(Buffer.alloc(32, 9)) }))
    const content = { third_party_invite: { signed: { ...signed, signatures: { x: many } } } }
    expect(verdicts(content, { public_keys: keys })).toEqual([])
  })
})

describe('leave', () => {
  test.each([
    ['join', ALL],
    ['invite', ALL],
    ['knock', from(7)],
    ['leave', []],
    ['ban', []],
    [undefined, []],
  ])('of oneself, when the membership is %s', (membership, allowed) => {
    const members = membership === undefined ? {} : { [BOB]: membership }
    expect(allowedIn(member(BOB, BOB, 'leave'), { members })).toEqual(allowed)
  })

  test.each([
    ['kicks below', { kick: 50, users: { [BOB]: 50 } }, 'join', ALL],
    ['kicks nobody as high', { kick: 50, users: { [BOB]: 50, [CAROL]: 50 } }, 'join', []],
    ['needs the kick level', { kick: 51, users: { [BOB]: 50 } }, 'join', []],
    ['withdraws invites', { kick: 50, users: { [BOB]: 50 } }, 'invite', ALL],
    ['unbans with the ban level', { kick: 0, ban: 50, users: { [BOB]: 50 } }, 'ban', ALL],
    ['needs the ban level to unban', { kick: 0, ban: 51, users: { [BOB]: 50 } }, 'ban', []],
    ['needs the kick level to unban', { kick: 51, ban: 0, users: { [BOB]: 50 } }, 'ban', []],
  ])('%s', (_name, levels, target, allowed) => {
    const members = { [BOB]: 'join', [CAROL]: target }
    expect(allowedIn(member(BOB, CAROL, 'leave'), { members, levels })).toEqual(allowed)
    expect(allowedIn(member(BOB, CAROL, 'leave'), { members: { [CAROL]: target }, levels })).toEqual([])
  })

  test('nobody removes a creator from version 12 on, creators remove anybody', () => {
    const members = { [ALICE]: 'join', [BOB]: 'join' }
    const levels = { users: { [ALICE]: 0, [BOB]: 100 } }
    expect(allowedIn(member(BOB, ALICE, 'leave'), { members, levels })).toEqual(from(1, 11))
    expect(allowedIn(member(ALICE, BOB, 'leave'), { members, levels })).toEqual([12])
  })

  test('creators do not remove one another', () => {
    const state = {
      create: { creator: ALICE, additional_creators: [BOB] },
      members: { [ALICE]: 'join', [BOB]: 'join' },
    }
    expect(allowedIn(member(ALICE, BOB, 'leave'), state)).toEqual(from(1, 11))
    expect(allowedIn(member(ALICE, BOB, 'ban'), state)).toEqual(from(1, 11))
  })
})

describe('ban', () => {
  test.each([
    ['below', { ban: 50, users: { [BOB]: 50 } }, ALL],
    ['as high', { ban: 50, users: { [BOB]: 50, [CAROL]: 50 } }, []],
    ['without the level', { ban: 51, users: { [BOB]: 50 } }, []],
  ])('%s', (_name, levels, allowed) => {
    for (const target of ['join', 'invite', 'leave', 'knock', 'ban']) {
      const members = { [BOB]: 'join', [CAROL]: target }
      expect(allowedIn(member(BOB, CAROL, 'ban'), { members, levels })).toEqual(allowed)
    }
    expect(allowedIn(member(BOB, CAROL, 'ban'), { members: {}, levels })).toEqual([])
    expect(allowedIn(member(BOB, BOB, 'ban'), { members: { [BOB]: 'join' }, levels })).toEqual([])
  })
})

describe('knock', () => {
  test.each([
    ['knock', undefined, from(7)],
    ['knock', 'leave', from(7)],
    ['knock', 'knock', from(7)],
    ['knock', 'invite', []],
    ['knock', 'join', []],
    ['knock', 'ban', []],
    ['knock_restricted', undefined, from(10)],
    ['restricted', undefined, []],
    ['public', undefined, []],
    ['invite', undefined, []],
  ])('where the rule is %s and the membership %s', (joinRule, membership, allowed) => {
    const members = membership === undefined ? {} : { [BOB]: membership }
    expect(allowedIn(member(BOB, BOB, 'knock'), { members, joinRule })).toEqual(allowed)
    expect(allowedIn(member(ALICE, BOB, 'knock'), { members: { ...members, [ALICE]: 'join' }, joinRule })).toEqual([])
  })
})

test('requiredSigners', () => {
  const signers = (input: EventInput) => versions(1).map((rules) => requiredSigners(event(rules, input), rules).join())
  const twelve = (v1: string, v3: string, v8: string) => [v1, v1, ...Array(5).fill(v3), ...Array(5).fill(v8)]
  const eventId = '$x:e.example'
  expect(signers({ type: 'x', sender: BOB, eventId })).toEqual(twelve('b.example,e.example', 'b.example', 'b.example'))
  expect(signers({ type: 'x', sender: BOB, eventId: '$x:b.example' })).toEqual(Array(12).fill('b.example'))
  expect(signers({ ...member(BOB, CAROL, 'invite', { third_party_invite: {} }), eventId })).toEqual(
    twelve('e.example', '', ''),
  )
  expect(signers({ ...member(BOB, BOB, 'join', { join_authorised_via_users_server: ALICE }), eventId })).toEqual(
    twelve('b.example,e.example', 'b.example', 'b.example,a.example'),
  )
})
