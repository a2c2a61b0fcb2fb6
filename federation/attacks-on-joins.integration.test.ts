import { expect, test } from 'vitest'
import type { RoomEvent } from '../src/matrix/event.ts'
import type { EventId } from '../src/matrix/ids.ts'
import type { JsonObject } from '../src/matrix/json.ts'
import { signingKeyFromSeed } from '../src/matrix/signatures.ts'
import { resolveState } from '../src/matrix/state-res/resolve-state.ts'
import { stateKeyOf } from '../src/matrix/state-res/state-map.ts'
import type { Answer, TestClient } from '../src/testing/test-client.ts'
import { attackedRoom, type HostedRoom, hostRoom } from './attacked-room.fixtures.ts'
import { startFederatedServer } from './federated-server.fixtures.ts'
import { startHostileServer } from './hostile-server.fixtures.ts'
import { sees } from './two-servers.fixtures.ts'

const enc = encodeURIComponent
const slidingSync = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

const join = (client: TestClient, room: HostedRoom) =>
  client.attempt('post', `/join/${enc(room.roomId)}?via=${enc(room.hostile.name)}`, { body: {} })

test('F10: templates of another version, and rooms without their create event', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  hostile.answer = (asked) => room.answerTo(asked)
  const without = (type: string) => (pdus: Answer[]) => pdus.filter((pdu) => pdu.type !== type)
  const create = room.at('m.room.create')
  const otherVersion = room.build({
    type: 'm.room.create',
    stateKey: '',
    content: { creator: room.user(), room_version: '9' },
    prev: [],
    auth: [],
  })
  const replaced = (pdus: Answer[]) => pdus.map((pdu) => (pdu.type === 'm.room.create' ? otherVersion.pdu : pdu))
  const attempts: HostedRoom['changes'][] = [
    { make_join: (answer) => ({ ...answer, room_version: 'odd' }) },
    { make_join: (answer) => ({ ...answer, room_version: 10 }) },
    { make_join: (answer) => ({ ...answer, room_version: '11' }) },
    { make_join: (answer) => ({ ...answer, room_version: '12' }) },
    { make_join: ({ event: _event, ...answer }) => answer },
    { make_join: (answer) => ({ ...answer, event: { ...answer.event, prev_events: 'x' } }) },
    { make_join: () => [] },
    { send_join: () => ({}) },
    { send_join: () => [] },
    { send_join: (answer) => ({ ...answer, state: 5, auth_chain: {} }) },
    {
      send_join: (answer) => ({
        ...answer,
        state: without('m.room.create')(answer.state),
        auth_chain: without('m.room.create')(answer.auth_chain),
      }),
    },
    { send_join: (answer) => ({ ...answer, state: replaced(answer.state), auth_chain: replaced(answer.auth_chain) }) },
    { send_join: (answer) => ({ ...answer, state: [create.pdu], auth_chain: [create.pdu] }) },
  ]
  for (const [index, changes] of attempts.entries()) {
    room.changes = changes
    const { status } = await join(alice, room)
    expect([index, status], String(index)).toEqual([index, expect.toSatisfy((code: number) => code >= 400)])
    expect([400, 403, 404, 502], String(index)).toContain(status)
    expect((await alice.get('/joined_rooms')).joined_rooms).toEqual([])
    expect((await alice.attempt('get', `/rooms/${enc(room.roomId)}/state`)).status).toBe(403)
    expect((await alice.sync()).rooms?.join ?? {}).toEqual({})
  }
  room.changes = {}
  expect((await join(alice, room)).status).toBe(200)
  await alice.send(room.roomId, 'm.room.message', { msgtype: 'm.text', body: 'in' })
  await sees(alice, room.roomId, 'in')
})

test('F11: memberships of one room told about another, and invites by address that nobody gave', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, room, alice } = scene
  const { room: other, roomId: otherId } = await scene.open()
  const userId = room.user('second')
  for (const [operation, membership] of [
    ['send_join', 'join'],
    ['send_leave', 'leave'],
    ['send_knock', 'knock'],
  ] as const) {
    const event = room.build({
      type: 'm.room.member',
      sender: userId,
      stateKey: userId,
      content: { membership },
    })
    for (const version of operation === 'send_knock' ? ['v1'] : ['v1', 'v2']) {
      const uri = `/_matrix/federation/${version}/${operation}/${enc(otherId)}/${enc(event.eventId)}`
      expect((await hostile.request(home, 'PUT', uri, { body: event.pdu })).status, uri).toBe(400)
    }
  }
  const signed = { mxid: userId, token: 'none', signatures: { 'id.test': { 'ed25519:0': 'x' } } }
  const exchanged = {
    type: 'm.room.member',
    sender: alice.userId,
    state_key: userId,
    content: { membership: 'invite', third_party_invite: { display_name: 'x', signed } },
  }
  const exchange = `/_matrix/federation/v1/exchange_third_party_invite/${enc(otherId)}`
  for (const [body, status] of [
    [{ ...exchanged, room_id: room.roomId }, 400],
    [{ ...exchanged, room_id: otherId }, 403],
    [exchanged, 403],
    [{ ...exchanged, state_key: '@x:third.test' }, 400],
    [{}, 400],
  ] as const) {
    expect((await hostile.request(home, 'PUT', exchange, { body })).status).toBe(status)
  }
  for (const of of [room, other]) {
    const { joined } = await alice.get(`/rooms/${enc(of.roomId)}/joined_members`)
    expect(Object.keys(joined)).not.toContain(userId)
    await scene.stillWorks(of.roomId)
  }
})

/** Events of a room that are not to be believed. */
function unbelievable(room: HostedRoom): RoomEvent[] {
  const good = (name: string) => room.build({ type: `bad.${name}`, stateKey: '', content: { bad: true } })
  const elsewhere = hostRoom(room.hostile, 'elsewhere')
  const unsigned = good('unsigned')
  const ofOthers = room.build({ type: 'bad.others', stateKey: '', over: { sender: '@eve:127.0.0.1:9' } })
  const { hostile } = room
  const own = hostile.key
  hostile.key = signingKeyFromSeed('hostile', Buffer.alloc(32, 1))
  const byWrongKey = good('key')
  hostile.key = own
  return [
    { ...unsigned, pdu: { ...unsigned.pdu, signatures: {} } },
    ofOthers,
    byWrongKey,
    elsewhere.build({ type: 'bad.elsewhere', stateKey: '', content: { bad: true } }),
    room.build({ type: 'bad.power', sender: room.user('nobody'), stateKey: '', content: { bad: true } }),
  ]
}

test('F14: unsigned, forged and foreign events in the state told at a join', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  room.add({ type: 'm.room.topic', stateKey: '', content: { topic: 'good' } })
  hostile.answer = (asked) => room.answerTo(asked)
  const bad = unbelievable(room).map(({ pdu }) => pdu)
  const odd = [null, 7, 'x', [], {}, { type: 'x' }]
  room.changes.send_join = (answer) => ({
    ...answer,
    state: [...odd, ...bad, ...answer.state],
    auth_chain: [...bad, ...odd, ...answer.auth_chain],
  })
  expect((await join(alice, room)).status).toBe(200)
  const state: Answer[] = await alice.get(`/rooms/${enc(room.roomId)}/state`)
  expect(state.map(({ type }) => type).filter((type) => type.startsWith('bad.'))).toEqual([])
  expect(state.find(({ type }) => type === 'm.room.topic').content).toEqual({ topic: 'good' })
})

test('F14: the same in the history and in what was missing', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  const said = ['one', 'two', 'three'].map((body) => room.add({ content: { msgtype: 'm.text', body } }))
  const bad = unbelievable(room).map(({ pdu }) => pdu)
  let gap: RoomEvent[] = []
  hostile.answer = (asked) => {
    const own = room.answerTo(asked)
    if (own) return own
    if (asked.path.includes('/backfill/')) {
      return { body: { pdus: [...bad, ...[...room.events].reverse().map(({ pdu }) => pdu), ...bad] } }
    }
    if (asked.path.includes('/get_missing_events/')) {
      return { body: { events: [...bad, ...gap.map(({ pdu }) => pdu), ...bad] } }
    }
    if (asked.path.includes('/state_ids/')) {
      const ids = [...room.state.values()].map(({ eventId }) => eventId)
      return { body: { pdu_ids: ids, auth_chain_ids: ids } }
    }
    if (asked.path.includes('/event/')) return { body: { pdus: bad } }
    return undefined
  }
  expect((await join(alice, room)).status).toBe(200)
  const bodies = async (): Promise<string[]> => {
    const { chunk } = await alice.get(`/rooms/${enc(room.roomId)}/messages`, { dir: 'b', limit: 100 })
    expect(chunk.filter(({ content }: Answer) => content.bad === true)).toEqual([])
    return chunk.flatMap(({ content }: Answer) => content.body ?? [])
  }
  expect(await bodies()).toEqual(['three', 'two', 'one'])
  expect(said).toHaveLength(3)
  gap = [room.add({ content: { msgtype: 'm.text', body: 'between' } })]
  await hostile.send(home, [room.add({ content: { msgtype: 'm.text', body: 'last' } }).pdu])
  await sees(alice, room.roomId, 'last')
  expect(await bodies()).toEqual(['last', 'between', 'three', 'two', 'one'])
})

/** A room in which the hostile server, asked for a state before an event of its own, tells what a test wants. */
async function rewrittenRoom(version: string) {
  const scene = await attackedRoom({ room_version: version })
  const { room, home, hostile, alice, roomId } = scene
  const old = [...room.state.values()]
  const before = await alice.getState(roomId, 'm.room.power_levels')
  const users = { ...before.users, '@charlie:third.test': 50 }
  await alice.sendState(roomId, 'm.room.join_rules', { join_rule: 'invite' })
  await alice.sendState(roomId, 'm.room.power_levels', { ...before, users })
  await expect.poll(() => hostile.heard.some(({ type }) => type === 'm.room.power_levels')).toBe(true)
  return {
    ...scene,
    old,
    /** Whether the events that follow the state told are shown. */
    async tell(told: readonly RoomEvent[]): Promise<boolean> {
      const lost = room.build({ content: { msgtype: 'm.text', body: 'lost' } })
      const first = room.build({ prev: [lost], content: { msgtype: 'm.text', body: 'first' } })
      const second = room.build({ prev: [first], content: { msgtype: 'm.text', body: 'second' } })
      hostile.answer = ({ path }) => {
        if (path.includes('/get_missing_events/')) return { body: { events: [first.pdu] } }
        const ids = told.map(({ eventId }) => eventId)
        if (path.includes('/state_ids/')) return { body: { pdu_ids: ids, auth_chain_ids: ids } }
        const pdus = told.map(({ pdu }) => pdu)
        if (path.includes('/state/')) return { body: { pdus, auth_chain: pdus } }
        return undefined
      }
      await hostile.send(home, [second.pdu])
      await expect.poll(async () => (await home.ctx.events.byIds([first.eventId, second.eventId])).length).toBe(2)
      hostile.answer = () => undefined
      expect(await alice.getState(roomId, 'm.room.join_rules')).toMatchObject({ join_rule: 'invite' })
      expect((await alice.getState(roomId, 'm.room.power_levels')).users).toEqual(users)
      const seen = [await scene.isSeen(first.eventId), await scene.isSeen(second.eventId)]
      expect(seen[0]).toBe(seen[1])
      return seen[0]!
    },
  }
}

test.each(['11', '12'])(
  'F28: a state of long ago, or hardly any, does not bring back who could do more (version %s)',
  async (version) => {
    await using scene = await rewrittenRoom(version)
    const { room, old } = scene
    expect(await scene.tell(old)).toBe(true)
    await scene.stillWorks()
    for (const told of [[], [room.at('m.room.create')], [room.at('m.room.member', room.user())]]) {
      expect(await scene.tell(told)).toBe(false)
      await scene.stillWorks()
    }
  },
)

test.each(['11', '12'])(
  'F28: a state with what an event needs and little more is resolved as the specification says (version %s)',
  async (version) => {
    await using scene = await rewrittenRoom(version)
    const { room, home, alice, roomId } = scene
    const stateNow = async () => {
      const state: Answer[] = await alice.get(`/rooms/${enc(roomId)}/state`)
      return new Map(state.map((event) => [stateKeyOf(event.type, event.state_key), event.event_id as EventId]))
    }
    const before = await stateNow()
    const needed = ['m.room.create', 'm.room.power_levels'].map((type) => room.at(type))
    const told = [...needed, room.at('m.room.member', room.user())]
    expect(await scene.tell(told)).toBe(true)
    const rows = await home.ctx.database.db.selectFrom('events').select('event_nid').execute()
    const stored = await home.ctx.events.byNids(
      rows.map((row) => row.event_nid),
      { edges: true },
    )
    const all = new Map(stored.map(({ event }) => [event.eventId, { event, rejected: false }]))
    const toldState = new Map(told.map(({ eventId, pdu }) => [stateKeyOf(pdu.type, pdu.state_key!), eventId] as const))
    const expected = resolveState(room.rules, [before, toldState], (eventId) => all.get(eventId))
    expect(new Map(await stateNow())).toEqual(new Map(expected))
    expect((await home.request('GET', '/_matrix/client/versions')).status).toBe(200)
  },
)

test('F31: a room whose state has other types than it should', async () => {
  await using home = await startFederatedServer()
  await using hostile = await startHostileServer()
  const alice = await home.register('alice')
  const room = hostRoom(hostile)
  const odd: [type: string, content: JsonObject, stateKey?: string][] = [
    ['m.room.name', { name: {} }],
    ['m.room.topic', { topic: 7, 'm.topic': [] }],
    ['m.room.avatar', { url: 5, info: 'x' }],
    ['m.room.canonical_alias', { alias: [], alt_aliases: 'x' }],
    ['m.room.history_visibility', { history_visibility: {} }],
    ['m.room.guest_access', { guest_access: [] }],
    ['m.room.encryption', { algorithm: 5 }],
    ['m.room.tombstone', { replacement_room: 7, body: {} }],
    ['m.room.pinned_events', { pinned: 'x' }],
    ['m.room.server_acl', { allow: ['*'], deny: 5 }],
    ['m.space.child', { via: 7, order: {} }, '!x:y.test'],
  ]
  for (const [type, content, stateKey = ''] of odd) room.add({ type, stateKey, content })
  const names: [string, JsonObject][] = [
    ['list', { displayname: ['x'] as unknown as string, avatar_url: 5 }],
    ['object', { displayname: {}, reason: [], is_direct: 'x' }],
    ['null', { displayname: null, avatar_url: null, third_party_invite: 'x' }],
  ]
  for (const [localpart, content] of names) {
    const userId = room.user(localpart)
    room.add({ type: 'm.room.member', sender: userId, stateKey: userId, content: { ...content, membership: 'join' } })
  }
  room.add({ content: { msgtype: 5, body: {}, 'm.relates_to': 'x', 'm.mentions': 7 } })
  hostile.answer = (asked) => room.answerTo(asked)
  expect((await join(alice, room)).status).toBe(200)
  await hostile.send(home, [
    room.add({ content: { 'm.relates_to': { rel_type: 5, event_id: [] }, 'm.new_content': 'x' } }).pdu,
    room.add({ type: 'm.room.redaction', content: { redacts: {} } }).pdu,
    room.add({ type: 'm.reaction', content: { 'm.relates_to': { rel_type: 'm.annotation', event_id: 'x', key: {} } } })
      .pdu,
    room.add({ content: { msgtype: 'm.text', body: 'sound' } }).pdu,
  ])
  await sees(alice, room.roomId, 'sound')
  const place = `/rooms/${enc(room.roomId)}`
  for (const path of [
    '/sync',
    `${place}/state`,
    `${place}/members`,
    `${place}/joined_members`,
    `${place}/messages?dir=b`,
  ]) {
    expect((await alice.attempt('get', path)).status, path).toBe(200)
  }
  const lists = { all: { ranges: [[0, 10]], timeline_limit: 10, required_state: [['*', '*']] } }
  expect((await alice.attempt('post', slidingSync, { body: { lists } })).status).toBe(200)
  const summary = `/_matrix/client/v1/rooms/${enc(room.roomId)}/hierarchy`
  expect((await alice.attempt('get', summary)).status).toBe(200)
  expect(
    (await alice.attempt('post', '/search', { body: { search_categories: { room_events: { search_term: 'sound' } } } }))
      .status,
  ).toBe(200)
  expect((await alice.attempt('post', `${place}/leave`, { body: {} })).status).toBe(200)
})
