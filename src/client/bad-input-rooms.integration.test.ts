import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EventId, RoomId } from '../matrix/ids.ts'
import { supportedRoomVersions } from '../matrix/room-versions.ts'
import { type Answer, startTestServer, type TestClient, type TestResponse, type TestServer } from '../testing/index.ts'

let server: TestServer
let alice: TestClient
let bob: TestClient
/** In no room of the others. */
let stranger: TestClient
let room: RoomId
let elsewhere: RoomId

beforeAll(async () => {
  server = await startTestServer()
  alice = await server.register('alice')
  bob = await server.register('bob')
  stranger = await server.register('stranger')
  room = await alice.createRoom({ preset: 'public_chat' })
  elsewhere = await alice.createRoom()
  await bob.join(room)
})
afterAll(() => server.close())

const at = (roomId: RoomId = room): string => `/rooms/${encodeURIComponent(roomId)}`
const error = (status: number, errcode: string) => ({ status, body: { errcode } })
let transactions = 0

/** Sends content given as JSON text. */
function sendText(text: string, type = 'm.test'): Promise<TestResponse> {
  return alice.attempt('put', `${at()}/send/${type}/text${++transactions}`, { body: text })
}

function setState(type: string, stateKey: string, content: object = {}): Promise<TestResponse> {
  const path = `${at()}/state/${encodeURIComponent(type)}/${encodeURIComponent(stateKey)}`
  return alice.attempt('put', path, { body: content })
}

describe('what events may hold', () => {
  test.each([
    ['{"a":9007199254740992}', 'M_BAD_JSON'],
    ['{"a":-9007199254740992}', 'M_BAD_JSON'],
    ['{"a":1.1}', 'M_BAD_JSON'],
    ['{"a":[{"b":1e3}]}', 'M_BAD_JSON'],
    ['{"a":Infinity}', 'M_NOT_JSON'],
    ['{"a":-Infinity}', 'M_NOT_JSON'],
    ['{"a":NaN}', 'M_NOT_JSON'],
    ['{"membership":"join","membership":"leave"}', 'M_BAD_JSON'],
    ['{"a":"\\ud800"}', 'M_BAD_JSON'],
    ['{"\\udc00":1}', 'M_BAD_JSON'],
    [`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 'M_BAD_JSON'],
  ])('C01, C02, C04, C05, C07: %.40s is refused', async (text, errcode) => {
    expect(await sendText(text)).toMatchObject(error(400, errcode))
    expect(await alice.attempt('put', `${at()}/state/m.test/x`, { body: text })).toMatchObject(error(400, errcode))
  })

  test.each([
    '{"a":9007199254740991,"b":-9007199254740991}',
    '{"a":"\\u0000","\\u0000":"b"}',
    '{"__proto__":{"polluted":1},"constructor":{"prototype":2},"toString":3}',
    '{"a":"😀\\ud83d\\ude00"}',
  ])('C08: %.40s comes back as it was sent', async (text) => {
    const { event_id: eventId } = (await sendText(text)).body
    const event = await alice.get(`${at()}/event/${eventId}`)
    expect(JSON.stringify(event.content)).toBe(JSON.stringify(JSON.parse(text)))
    expect((await alice.attempt('put', `${at()}/state/m.test/y`, { body: text })).status).toBe(200)
    expect(JSON.stringify(await alice.getState(room, 'm.test', 'y'))).toBe(JSON.stringify(JSON.parse(text)))
    const { timeline } = (await alice.sync()).rooms.join[room]
    const told = timeline.events.find((one: Answer) => one.event_id === eventId)
    expect(JSON.stringify(told.content)).toBe(JSON.stringify(JSON.parse(text)))
    expect(({} as Answer).polluted).toBeUndefined()
  })

  test('C05: an object of a million members is too large', async () => {
    const members = Array.from({ length: 1_000_000 }, (_, index) => `"${index}":0`)
    expect(await sendText(`{${members.join(',')}}`)).toMatchObject(error(413, 'M_TOO_LARGE'))
  })

  test('65,536 bytes are an event, more are not', async () => {
    const fits = await sendText(JSON.stringify({ body: 'x'.repeat(64_000) }))
    expect(fits.status).toBe(200)
    expect(await sendText(JSON.stringify({ body: 'x'.repeat(65_536) }))).toMatchObject(error(413, 'M_TOO_LARGE'))
  })

  test('C10: a type and a state key have at most 255 bytes, however many characters', async () => {
    for (const text of ['x'.repeat(255), 'é'.repeat(127)]) {
      expect((await setState(text, '')).status).toBe(200)
      expect((await setState('m.test', text)).status).toBe(200)
      expect(await alice.getState(room, 'm.test', text)).toEqual({})
    }
    for (const text of ['x'.repeat(256), 'é'.repeat(128)]) {
      for (const [type, stateKey] of [
        [text, ''],
        ['m.test', text],
      ] as const) {
        const { status } = await setState(type, stateKey)
        expect([400, 413]).toContain(status)
      }
    }
  })

  test('U+0000 in what names something is refused', async () => {
    expect(await setState('m.test', 'a\0')).toMatchObject(error(400, 'M_INVALID_PARAM'))
    expect(await setState('m\0', '')).toMatchObject(error(400, 'M_INVALID_PARAM'))
    const creation = (body: object) => alice.attempt('post', '/createRoom', { body })
    expect((await creation({ room_alias_name: 'a\0' })).status).toBe(400)
    expect((await creation({ initial_state: [{ type: 'm.test', state_key: '\0', content: {} }] })).status).toBe(400)
    const alias = `/directory/room/${encodeURIComponent('#a\0:a.test')}`
    expect((await alice.attempt('put', alias, { body: { room_id: room } })).status).toBe(400)
    expect((await alice.attempt('post', `/join/${encodeURIComponent('#a\0:a.test')}`, { body: {} })).status).toBe(400)
  })

  test('U+0000 in names and topics, reasons and reactions is text like other', async () => {
    const named = await alice.createRoom({ preset: 'public_chat', visibility: 'public', name: 'n\0n', topic: 't\0t' })
    expect(await alice.getState(named, 'm.room.name')).toEqual({ name: 'n\0n' })
    const { chunk } = await bob.post('/publicRooms', { filter: { generic_search_term: 'n\0n' } })
    expect(chunk).toMatchObject([{ room_id: named, name: 'n\0n', topic: 't\0t' }])
    const summary = await bob.get(`/_matrix/client/v1/room_summary/${encodeURIComponent(named)}`)
    expect(summary.name).toBe('n\0n')
    expect((await bob.attempt('post', `${at(named)}/join`, { body: { reason: 'r\0' } })).status).toBe(200)
    expect(await bob.getState(named, 'm.room.member', bob.userId)).toMatchObject({ reason: 'r\0' })
    const { event_id: eventId } = await alice.send(named, 'm.room.message', { body: 'b\0' })
    await bob.send(named, 'm.reaction', { 'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: '\0' } })
    const related = await alice.get(`/_matrix/client/v1${at(named)}/relations/${eventId}`)
    expect(related.chunk).toMatchObject([{ content: { 'm.relates_to': { key: '\0' } } }])
    await bob.leave(named)
  })
})

describe('relations', () => {
  const react = (eventId: EventId, key: string) =>
    alice.attempt('put', `${at()}/send/m.reaction/react${++transactions}`, {
      body: { 'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key } },
    })
  const inThread = (root: EventId) => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } })

  test('C20: a key of more than 500 characters, a thread in a thread and an event of another room are refused', async () => {
    const { event_id: root } = await alice.send(room, 'm.room.message', { body: 'root' })
    expect((await react(root, 'k'.repeat(500))).status).toBe(200)
    expect((await react(root, 'k'.repeat(501))).status).toBe(400)
    expect(await react(root, 'k'.repeat(500))).toMatchObject(error(400, 'M_DUPLICATE_ANNOTATION'))
    const { event_id: reply } = await alice.send(room, 'm.room.message', { body: 'reply', ...inThread(root) })
    const nested = await sendText(JSON.stringify(inThread(reply)), 'm.room.message')
    expect(nested.status).toBe(400)
    const { event_id: foreign } = await alice.send(elsewhere, 'm.room.message', { body: 'elsewhere' })
    expect((await react(foreign, 'k')).status).toBe(400)
  })

  test.each(['null', '5', '[]', '"x"', '{"rel_type":5}', '{"rel_type":"m.thread","event_id":"x","key":[]}'])(
    'm.relates_to may be %s, which relates to nothing',
    async (text) => {
      expect((await sendText(`{"m.relates_to":${text}}`, 'm.room.message')).status).toBe(200)
    },
  )
})

test('C31: an alias belongs to who made it, and a room is published by who may name it', async () => {
  const alias = `/directory/room/${encodeURIComponent('#taken:a.test')}`
  await alice.put(alias, { room_id: room })
  const own = await stranger.createRoom()
  expect(await stranger.attempt('delete', alias)).toMatchObject(error(403, 'M_FORBIDDEN'))
  expect((await stranger.attempt('put', alias, { body: { room_id: own } })).status).toBe(409)
  expect((await alice.get(alias)).room_id).toBe(room)
  for (const client of [stranger, bob]) {
    const publication = `/directory/list/room/${encodeURIComponent(room)}`
    const body = { visibility: 'public' }
    expect(await client.attempt('put', publication, { body })).toMatchObject(error(403, 'M_FORBIDDEN'))
    expect((await client.get(publication)).visibility).toBe('private')
  }
})

test('C40: the canonical alias of a room leads to it', async () => {
  const foreign = '#foreign:a.test'
  await alice.put(`/directory/room/${encodeURIComponent(foreign)}`, { room_id: elsewhere })
  for (const content of [
    { alias: foreign },
    { alias: '#missing:a.test' },
    { alt_aliases: [foreign] },
    { alias: 'no alias' },
    { alias: 5 },
    { alias: '#a\0:a.test' },
    { alt_aliases: [null] },
  ]) {
    const { status, body } = await setState('m.room.canonical_alias', '', content)
    expect([content, status]).toEqual([content, 400])
    expect(['M_BAD_ALIAS', 'M_INVALID_PARAM']).toContain(body.errcode)
  }
})

test.each(supportedRoomVersions)(
  'C41: room version %s: state of any type reaches nobody as what it is not',
  async (version) => {
    const odd = await alice.createRoom({ preset: 'public_chat', visibility: 'public', room_version: version })
    await alice.sendState(odd, 'm.room.name', { name: { a: 1 } })
    await alice.sendState(odd, 'm.room.topic', { topic: [1] })
    await alice.sendState(odd, 'm.room.avatar', { url: 5 })
    await alice.sendState(odd, 'm.room.guest_access', { guest_access: [] })
    await alice.sendState(
      odd,
      'm.room.member',
      { membership: 'join', displayname: ['x'], avatar_url: {} },
      alice.userId,
    )
    await bob.join(odd)
    // Every answer is held to the schemas of the specification.
    const { state, summary } = (await bob.sync()).rooms.join[odd]
    expect(state.events.length).toBeGreaterThan(0)
    expect(summary['m.heroes']).toEqual([alice.userId])
    const summaryOf = await stranger.get(`/_matrix/client/v1/room_summary/${encodeURIComponent(odd)}`)
    expect(summaryOf).not.toHaveProperty('name')
    expect((await alice.get(`${at(odd)}/joined_members`)).joined).toHaveProperty([alice.userId])
    await alice.get(`/_matrix/client/v1${at(odd)}/hierarchy`)
    await stranger.post('/publicRooms')
    await stranger.post('/user_directory/search', { search_term: 'alice' })
    await bob.leave(odd)
  },
)
