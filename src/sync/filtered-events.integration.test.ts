import { expect, test } from 'vitest'
import type { RoomId } from '../matrix/ids.ts'
import { type Answer, startTestServer, type TestClient } from '../testing/index.ts'

const path = encodeURIComponent

function say(client: TestClient, room: RoomId, body: string, more: object = {}) {
  return client.send(room, 'm.room.message', { msgtype: 'm.text', body, ...more })
}

function bodies(events: Answer): unknown[] {
  return events.filter((event: Answer) => event.type === 'm.room.message').map((event: Answer) => event.content.body)
}

async function twoInARoom() {
  const server = await startTestServer()
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.join(room)
  return { server, alice, bob, room, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('whoever is ignored says nothing in pages, contexts, relations and threads; their state stays', async () => {
  await using all = await twoInARoom()
  const { alice, bob, room } = all
  const { event_id: root } = await say(alice, room, 'root')
  await say(bob, room, 'answer', { 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
  const { event_id: other } = await say(bob, room, 'hidden')
  await say(alice, room, 'in a thread', { 'm.relates_to': { rel_type: 'm.thread', event_id: other } })
  const { event_id: last } = await say(alice, room, 'last')
  await alice.put(`/user/${path(alice.userId)}/account_data/m.ignored_user_list`, {
    ignored_users: { [bob.userId]: {} },
  })
  const page = await alice.get(`/rooms/${path(room)}/messages`, { dir: 'b', limit: 50 })
  expect(bodies(page.chunk)).toEqual(['last', 'in a thread', 'root'])
  expect(page.chunk.some((event: Answer) => event.state_key === bob.userId)).toBe(true)
  const context = await alice.get(`/rooms/${path(room)}/context/${path(last)}`, { limit: 20 })
  expect(bodies(context.events_before)).toEqual(['in a thread', 'root'])
  const relations = `/_matrix/client/v1/rooms/${path(room)}/relations/${path(root)}`
  expect(bodies((await alice.get(relations)).chunk)).toEqual([])
  expect(bodies((await bob.get(relations)).chunk)).toEqual(['answer'])
  const threads = `/_matrix/client/v1/rooms/${path(room)}/threads`
  expect(bodies((await alice.get(threads)).chunk)).toEqual(['root'])
})

test('a filter by what relates to events, in pages and in sync', async () => {
  await using all = await twoInARoom()
  const { alice, bob, room } = all
  const { event_id: one } = await say(alice, room, 'answered by bob')
  const { event_id: two } = await say(alice, room, 'answered by alice')
  await say(alice, room, 'not answered')
  const inThread = (event: string) => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: event } })
  await say(bob, room, 'a', inThread(one))
  await say(alice, room, 'b', inThread(two))
  const paged = async (filter: object): Promise<unknown[]> => {
    const query = { dir: 'f', limit: 50, filter: JSON.stringify(filter) }
    return bodies((await alice.get(`/rooms/${path(room)}/messages`, query)).chunk)
  }
  const synced = async (filter: object): Promise<unknown[]> => {
    const query = { filter: JSON.stringify({ room: { timeline: { ...filter, limit: 50 } } }) }
    return bodies((await alice.sync(query)).rooms.join[room].timeline.events)
  }
  for (const events of [paged, synced]) {
    expect(await events({ related_by_rel_types: ['m.thread'] })).toEqual(['answered by bob', 'answered by alice'])
    expect(await events({ related_by_senders: [bob.userId] })).toEqual(['answered by bob'])
    expect(await events({ related_by_rel_types: ['m.thread'], related_by_senders: [alice.userId] })).toEqual([
      'answered by alice',
    ])
    expect(await events({ related_by_rel_types: ['m.annotation'] })).toEqual([])
  }
  const filter = JSON.stringify({ room: { timeline: { related_by_rel_types: ['m.thread'] } } })
  const { next_batch: since } = await alice.sync({ filter })
  await say(bob, room, 'alone')
  const warm = await alice.sync({ filter, since })
  expect(bodies(warm.rooms?.join?.[room]?.timeline.events ?? [])).toEqual([])
})

test('a sync gives the fields that its filter names', async () => {
  await using all = await twoInARoom()
  const { alice, bob, room } = all
  const filter = JSON.stringify({ event_fields: ['content.body', 'unsigned.age'] })
  const { next_batch: since } = await alice.sync({ filter })
  await say(bob, room, 'text')
  const { timeline } = (await alice.sync({ filter, since })).rooms.join[room]
  expect(timeline.events).toHaveLength(1)
  expect(timeline.events[0].content).toEqual({ body: 'text' })
  expect(Object.keys(timeline.events[0].unsigned)).toEqual(['age'])
})

test.each(['1', '6', '12'])(
  'a sync gives events in the format of federation to whom asks for it, in version %s',
  async (version) => {
    await using server = await startTestServer()
    const alice = await server.register('alice')
    const room = await alice.createRoom({ room_version: version })
    const { event_id: eventId } = await say(alice, room, 'as it was sent')
    const filter = JSON.stringify({ event_format: 'federation', room: { timeline: { limit: 1 } } })
    const { timeline, state } = (await alice.sync({ filter })).rooms.join[room]
    const [stored] = await server.ctx.events.byIds([eventId], { edges: true })
    const [{ unsigned, ...pdu }] = timeline.events
    expect(unsigned).toMatchObject({ membership: 'join', age: expect.any(Number) })
    expect(pdu).toEqual({ ...stored!.event.pdu, event_id: eventId })
    expect(pdu).toMatchObject({
      prev_events: [expect.anything()],
      hashes: {},
      signatures: { 'a.test': {} },
      room_id: room,
    })
    expect(state.events.map(({ type }: Answer) => type)).toContain('m.room.create')
    for (const event of state.events) expect(event).toMatchObject({ auth_events: expect.any(Array), hashes: {} })
    // Together with fields, and once more without a first sync.
    const { next_batch: since } = await alice.sync({ filter })
    await say(alice, room, 'later')
    const fields = JSON.stringify({ event_format: 'federation', event_fields: ['depth'] })
    const later = (await alice.sync({ since, filter: fields })).rooms.join[room].timeline.events
    expect(later).toMatchObject([{ type: 'm.room.message', depth: expect.any(Number), content: {} }])
    expect(later[0].hashes).toBeUndefined()
  },
)
