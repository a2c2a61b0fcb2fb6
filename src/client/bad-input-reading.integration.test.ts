import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { startTestServer, type TestClient, type TestServer } from '../testing/index.ts'

let server: TestServer
let alice: TestClient
let bob: TestClient
/** In no room of the others. */
let stranger: TestClient
let room: RoomId
/** A room of alice alone. */
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

test('C16: tokens that are no tokens, or of another room, give an error or what the reader may see', async () => {
  const { next_batch: own, rooms } = await alice.sync()
  const { prev_batch: previous } = rooms.join[elsewhere].timeline
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { body: 'here' })
  const places = [
    ['/sync', 'since'],
    [`${at()}/messages?dir=b`, 'from'],
    [`/_matrix/client/v1${at()}/relations/${eventId}`, 'from'],
    [`/_matrix/client/v1${at()}/threads`, 'from'],
    [`/_matrix/client/v1${at()}/hierarchy`, 'from'],
  ] as const
  for (const [path, name] of places) {
    const ask = (client: TestClient, token: string) =>
      client.attempt('get', `${path}${path.includes('?') ? '&' : '?'}${name}=${encodeURIComponent(token)}`)
    for (const token of ['x', `${own}x`, 's-1', 's1.5', 's99999999999999999', "s1' or 1=1", '\0', 'é']) {
      const answer = await ask(alice, token)
      expect([path, token, answer.status]).toEqual([path, token, 400])
    }
    if (path.endsWith('/hierarchy')) continue
    // What alice was given, and from a room that bob is not in. Only sync does not take a place in a timeline.
    for (const token of [own, previous]) {
      const answer = await ask(bob, token)
      expect([path, answer.status]).toEqual([path, path === '/sync' && token === previous ? 400 : 200])
      expect(JSON.stringify(answer.body)).not.toContain(elsewhere)
    }
  }
})

test('C19: limits are capped, however high', async () => {
  const long = await alice.createRoom()
  const sent = Array.from({ length: 250 }, (_, index) => alice.send(long, 'm.room.message', { body: `${index}` }))
  const ids = (await Promise.all(sent)).map(({ event_id }) => event_id)
  const around = await alice.get(`${at(long)}/context/${ids[125]}`, { limit: 1_000_000 })
  expect(around.events_before.length + around.events_after.length).toBeLessThanOrEqual(100)
  const { chunk } = await alice.get(`${at(long)}/messages`, { dir: 'b', limit: 9_007_199_254_740_991 })
  expect(chunk.length).toBeLessThanOrEqual(1000)
  const filter = JSON.stringify({ room: { timeline: { limit: 1_000_000 } } })
  expect((await alice.sync({ filter })).rooms.join[long].timeline.events.length).toBeLessThanOrEqual(100)
  const search = { room_events: { search_term: 'x', event_context: { before_limit: 1_000_000 } } }
  expect((await alice.attempt('post', '/search', { body: { search_categories: search } })).status).toBe(200)
})

test('C25: who never was in a room reads nothing of it, also where its history is shared', async () => {
  const { next_batch: token } = await alice.sync()
  const paths = ['/members', `/members?at=${token}`, '/state', '/joined_members', '/aliases', '/initialSync']
  for (const path of [...paths, '/state/m.room.create/', '/messages?dir=b']) {
    const answer = await stranger.attempt('get', at() + path)
    expect([path, answer.status]).toEqual([path, 403])
  }
})

test('C26: a redacted event is pruned wherever it is read', async () => {
  const { event_id: root } = await alice.send(room, 'm.room.message', { body: 'root' })
  const thread = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
  await bob.send(room, 'm.room.message', { body: 'kept', ...thread })
  const { event_id: eventId } = await alice.send(room, 'm.room.message', {
    body: `secret for ${bob.userId}`,
    ...thread,
  })
  await alice.put(`${at()}/redact/${eventId}/redaction`)
  const v1 = `/_matrix/client/v1${at()}`
  for (const client of [alice, bob]) {
    const answers = [
      await client.get(`${at()}/event/${eventId}`),
      await client.get(`${at()}/context/${eventId}`),
      await client.get(`${at()}/context/${root}`),
      await client.get(`${at()}/messages`, { dir: 'b', limit: 50 }),
      await client.get(`${v1}/relations/${root}`),
      await client.get(`${v1}/threads`),
      await client.get(`${at()}/initialSync`),
      await client.sync(),
    ]
    expect(JSON.stringify(answers)).toContain(eventId)
    expect(JSON.stringify(answers)).not.toContain('secret')
  }
})

test('C32: transaction ids are for the device that sent with them', async () => {
  const { event_id: root } = await alice.send(room, 'm.room.message', { body: 'root' }, 'txn-of-root')
  const inThread = { 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
  const { event_id: eventId } = await alice.send(room, 'm.room.message', { body: 'reply', ...inThread }, 'txn-of-reply')
  const edit = { body: '* edited', 'm.new_content': { body: 'edited' } }
  const replaces = { 'm.relates_to': { rel_type: 'm.replace', event_id: eventId } }
  await alice.send(room, 'm.room.message', { ...edit, ...replaces }, 'txn-of-edit')
  const v1 = `/_matrix/client/v1${at()}`
  const reads = async (client: TestClient): Promise<string> =>
    JSON.stringify([
      await client.get(`${at()}/event/${eventId}`),
      await client.get(`${at()}/context/${root}`),
      await client.get(`${at()}/messages`, { dir: 'b', limit: 50 }),
      await client.get(`${v1}/relations/${root}`),
      await client.get(`${v1}/threads`),
      await client.get(`${at()}/initialSync`),
      await client.sync(),
    ])
  expect(await reads(alice)).toContain('"transaction_id":"txn-of-root"')
  for (const client of [bob, await server.logIn('alice')]) {
    const answers = await reads(client)
    expect(answers).toContain('edited')
    expect(answers).not.toContain('txn-of-')
  }
})
