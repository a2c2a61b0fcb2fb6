import { expect, test } from 'vitest'
import { buildEvent } from '../src/matrix/event-format.ts'
import type { UserId } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { roomRules } from '../src/matrix/room-versions.ts'
import type { TestServer } from '../src/testing/test-server.ts'
import { signedRequest, startFederatedServer } from './federated-server.fixtures.ts'
import { invited } from './two-servers.fixtures.ts'

type Changes = {
  readonly type?: string
  readonly content?: JsonObject
  readonly stateKey?: string | undefined
  readonly sender?: UserId
  readonly path?: string
  readonly version?: string
}

/** An invite by a server that does as it likes. */
function forge(from: TestServer, target: UserId, changes: Changes = {}) {
  const own = from.ctx.domains.default
  const version = changes.version ?? '10'
  const rules = roomRules(version)!
  const roomId = `!forged:${own}` as const
  const stateKey = 'stateKey' in changes ? changes.stateKey : target
  const { eventId, pdu } = buildEvent(
    {
      type: changes.type ?? 'm.room.member',
      sender: changes.sender ?? (`@mallory:${own}` as UserId),
      ...(stateKey !== undefined && { stateKey }),
      roomId,
      content: changes.content ?? { membership: 'invite' },
      originServerTs: Date.now(),
      depth: 3,
      prevEvents: [],
      authEvents: [],
    },
    rules,
    own,
    from.ctx.domains.keyOf(own),
  )
  const path = changes.path ?? roomId
  const uri = `/_matrix/federation/v2/invite/${encodeURIComponent(path)}/${encodeURIComponent(eventId)}`
  return { uri, body: { event: pdu as unknown as JsonObject, room_version: version, invite_room_state: [] }, roomId }
}

test('F08: only what is an invite of one of our users by one of theirs is signed', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const bob = await home.register('bob')
  const own = remote.ctx.domains.default
  const wrong: Changes[] = [
    { type: 'm.room.power_levels' },
    { content: { membership: 'join' } },
    { stateKey: `@bob:${own}` },
    { stateKey: undefined },
    { stateKey: '@nobody:elsewhere.test' },
    { stateKey: `@nobody:${home.ctx.domains.default}` },
    { sender: '@carol:elsewhere.test' },
    { sender: `@carol:${home.ctx.domains.default}` as UserId },
    { path: '!other:elsewhere.test' },
  ]
  for (const changes of wrong) {
    const { uri, body } = forge(remote, bob.userId, changes)
    const answer = await signedRequest(remote, home, 'PUT', uri, { body })
    expect(answer.status, JSON.stringify(changes)).toBeGreaterThanOrEqual(400)
    expect(answer.status, JSON.stringify(changes)).toBeLessThan(500)
    const signature = Object.keys(answer.body.event?.signatures ?? {})
    expect(signature).toEqual([])
  }
  const unknown = forge(remote, bob.userId)
  const odd = { ...unknown.body, room_version: 'odd' }
  const refused = await signedRequest(remote, home, 'PUT', unknown.uri, { body: odd })
  expect(refused.body.errcode).toBe('M_INCOMPATIBLE_ROOM_VERSION')
  expect((await bob.sync()).rooms?.invite ?? {}).toEqual({})
})

test('F31: whatever an invite shows of its room, the client’s sync stays sound and the invite can be refused', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const bob = await home.register('bob')
  const event = (type: unknown, content: unknown) => ({ type, state_key: '', sender: '@m:x.test', content })
  const shown: unknown[] = [
    5,
    {},
    ['text', null, 7, []],
    [event('m.room.name', undefined), event('m.room.name', 'x'), event(3, {}), event('m.room.name', { name: 'a\0b' })],
    Array.from({ length: 100 }, () => event('m.room.topic', { topic: 'x'.repeat(8000) })),
    [event('m.room.name', { name: 'Kept' })],
  ]
  const { uri, body, roomId } = forge(remote, bob.userId)
  for (const state of shown) {
    const again = forge(remote, bob.userId, {
      content: { membership: 'invite', reason: JSON.stringify(state).slice(0, 50) },
    })
    const sent = JSON.parse(JSON.stringify({ ...again.body, invite_room_state: state })) as JsonObject
    const answer = await signedRequest(remote, home, 'PUT', again.uri, { body: sent })
    expect(answer.status).toBe(200)
    expect(Object.keys(answer.body.event.signatures).sort()).toEqual(
      [home.ctx.domains.default, remote.ctx.domains.default].sort(),
    )
    const events = await invited(bob, roomId)
    expect(JSON.stringify(events).length).toBeLessThan(400_000)
  }
  expect((await invited(bob, roomId)).map(({ type }) => type)).toEqual(['m.room.name', 'm.room.member'])
  // The same once more is answered, and asks the user nothing new.
  await bob.leave(roomId)
  expect((await signedRequest(remote, home, 'PUT', uri, { body })).status).toBe(200)
})

test('from version 12 on an invite has to show the create event of its room', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const bob = await home.register('bob')
  const mallory = await remote.register('mallory')
  const room = await mallory.createRoom({ preset: 'private_chat', room_version: '12' })
  const other = await mallory.createRoom({ preset: 'private_chat', room_version: '12' })
  const create = async (of: typeof room): Promise<JsonObject> => {
    const hot = await remote.ctx.hotRooms.get(of)
    const [stored] = await remote.ctx.events.byIds([hot!.get('m.room.create', '')!.eventId], { edges: true })
    return stored!.event.pdu as unknown as JsonObject
  }
  const rules = roomRules('12')!
  const own = remote.ctx.domains.default
  const { eventId, pdu } = buildEvent(
    {
      type: 'm.room.member',
      sender: mallory.userId,
      stateKey: bob.userId,
      roomId: room,
      content: { membership: 'invite' },
      originServerTs: Date.now(),
      depth: 9,
      prevEvents: [],
      authEvents: [],
    },
    rules,
    own,
    remote.ctx.domains.keyOf(own),
  )
  const uri = `/_matrix/federation/v2/invite/${encodeURIComponent(room)}/${encodeURIComponent(eventId)}`
  const send = (state: JsonObject[]) => {
    const body = { event: pdu as unknown as JsonObject, room_version: '12', invite_room_state: state }
    return signedRequest(remote, home, 'PUT', uri, { body })
  }
  const { signatures: _signatures, ...unsigned } = await create(room)
  const stripped = { type: 'm.room.create', state_key: '', sender: mallory.userId, content: {} }
  for (const state of [[], [await create(other)], [stripped], [{ ...unsigned, signatures: {} } as JsonObject]]) {
    expect((await send(state)).body.errcode).toBe('M_INVALID_PARAM')
  }
  expect((await send([await create(room)])).status).toBe(200)
})

test('who is not allowed neither invites nor is invited', async () => {
  await using home = await startFederatedServer({ deny: ['127.0.0.1:*', '127.0.0.1'] })
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const room = await alice.createRoom({ preset: 'private_chat' })
  const answer = await alice.attempt('post', `/rooms/${encodeURIComponent(room)}/invite`, {
    body: { user_id: mallory.userId },
  })
  expect(answer.status).toBe(403)
  const { uri, body } = forge(remote, alice.userId)
  expect((await signedRequest(remote, home, 'PUT', uri, { body })).status).toBe(403)
})

test('F38: a room’s access list keeps invites away, in both directions', async () => {
  await using home = await startFederatedServer()
  await using remote = await startFederatedServer()
  const alice = await home.register('alice')
  const mallory = await remote.register('mallory')
  const room = await alice.createRoom({ preset: 'private_chat' })
  const host = remote.ctx.domains.default.replace(/:\d+$/, '')
  await alice.sendState(room, 'm.room.server_acl', { allow: ['*'], deny: [host] })
  const answer = await alice.attempt('post', `/rooms/${encodeURIComponent(room)}/invite`, {
    body: { user_id: mallory.userId },
  })
  expect(answer.status).toBe(403)
})
