import { expect, test } from 'vitest'
import type { RoomId } from '../../matrix/ids.ts'
import { type Answer, createFakeClock, startTestServer, type TestClient } from '../../testing/index.ts'

const config = { experimental: { msc4354: true } }
const minutes = 60_000
const slidingSync = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
const extension = 'org.matrix.msc4354.sticky_events'
const onlyTwo = JSON.stringify({ room: { timeline: { limit: 2 } } })
const noTimeline = JSON.stringify({ room: { timeline: { types: [] } } })

let transaction = 0

async function stick(client: TestClient, room: RoomId, duration: number, content: object = {}): Promise<string> {
  const place = `/rooms/${encodeURIComponent(room)}/send/x.sticky/t${transaction++}`
  return (await client.put(`${place}?org.matrix.msc4354.sticky_duration_ms=${duration}`, content)).event_id
}

async function chatter(client: TestClient, room: RoomId): Promise<void> {
  for (const body of ['a', 'b', 'c']) await client.send(room, 'm.room.message', { msgtype: 'm.text', body })
}

function stuckIn(sync: Answer, room: RoomId): string[] {
  const events: Answer[] = sync.rooms?.join?.[room]?.msc4354_sticky?.events ?? []
  return events.map((event) => event.event_id)
}

test('a sticky event is told once, whatever the timeline shows, and to who comes into the room', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ config, clock })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
  })
  const { next_batch: since } = await alice.sync()
  const first = await stick(alice, room, 10 * minutes, { some: 'thing' })
  // In the timeline, so nowhere else.
  const direct = await alice.sync({ since })
  expect(direct.rooms.join[room].timeline.events[0]).toMatchObject({
    event_id: first,
    msc4354_sticky: { duration_ms: 10 * minutes },
    unsigned: { msc4354_sticky_duration_ttl_ms: 10 * minutes },
  })
  expect(stuckIn(direct, room)).toEqual([])
  await chatter(alice, room)
  clock.advance(minutes)
  const gappy = await alice.sync({ since, filter: onlyTwo })
  expect(gappy.rooms.join[room].msc4354_sticky.events).toEqual([
    expect.objectContaining({
      event_id: first,
      content: { some: 'thing' },
      sender: alice.userId,
      unsigned: expect.objectContaining({ msc4354_sticky_duration_ttl_ms: 9 * minutes }),
    }),
  ])
  expect(stuckIn(await alice.sync({ since: gappy.next_batch, filter: onlyTwo }), room)).toEqual([])
  expect(stuckIn(await alice.sync({ since, filter: noTimeline }), room)).toEqual([first])
  expect(stuckIn(await alice.sync({ filter: onlyTwo }), room)).toEqual([first])
  // Bob may not see what was said before.
  await bob.join(room)
  expect(stuckIn(await bob.sync(), room)).toEqual([first])
  await bob.put(`/user/${encodeURIComponent(bob.userId)}/account_data/m.ignored_user_list`, {
    ignored_users: { [alice.userId]: {} },
  })
  expect(stuckIn(await bob.sync(), room)).toEqual([])
  clock.advance(9 * minutes)
  expect(stuckIn(await alice.sync({ filter: onlyTwo }), room)).toEqual([])
})

test('what is redacted sticks no more; state sticks too; a process that starts knows what does', async () => {
  await using server = await startTestServer({ config, redis: true })
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const [gone, kept] = [await stick(alice, room, 5 * minutes), await stick(alice, room, 5 * minutes)]
  await alice.put(`/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(gone)}/r`, {})
  const path = `/rooms/${encodeURIComponent(room)}/state/x.state/key?org.matrix.msc4354.sticky_duration_ms=${minutes}`
  const { event_id: state } = await alice.put(path, {})
  await stick(alice, room, 0)
  await chatter(alice, room)
  expect(stuckIn(await alice.sync({ filter: onlyTwo }), room)).toEqual([kept, state])
  await using other = await startTestServer({ sharing: server })
  expect(stuckIn(await other.adopt(alice).sync({ filter: onlyTwo }), room)).toEqual([kept, state])
  await using off = await startTestServer({ sharing: server, config: { experimental: { msc4354: false } } })
  const there = off.adopt(alice)
  expect(stuckIn(await there.sync({ filter: onlyTwo }), room)).toEqual([])
  const plain = await stick(there, room, minutes)
  const event = await there.get(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(plain)}`)
  expect(event).not.toHaveProperty('msc4354_sticky')
  for (const duration of [-1, 3_600_001, 'x']) {
    const wrong = `/rooms/${encodeURIComponent(room)}/send/x/w?org.matrix.msc4354.sticky_duration_ms=${duration}`
    expect((await alice.attempt('put', wrong, { body: {} })).status).toBe(400)
  }
})

test('a delayed event can be sticky once it is sent', async () => {
  await using server = await startTestServer({ config })
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const query = `org.matrix.msc4140.delay=60000&org.matrix.msc4354.sticky_duration_ms=${minutes}`
  const { delay_id: id } = await alice.put(`/rooms/${encodeURIComponent(room)}/send/x.late/d?${query}`, {})
  await alice.post(`/_matrix/client/unstable/org.matrix.msc4140/delayed_events/${id}/send`)
  await chatter(alice, room)
  expect(stuckIn(await alice.sync({ filter: onlyTwo }), room)).toHaveLength(1)
})

test('sliding sync tells of them in an extension, in portions', async () => {
  await using server = await startTestServer({ config })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await alice.createRoom({ preset: 'public_chat' })
  const ids = [await stick(alice, room, minutes), await stick(alice, room, minutes), await stick(alice, room, minutes)]
  const slide = async (client: TestClient, since?: string): Promise<[string[], string]> => {
    const body = { extensions: { [extension]: { enabled: true, limit: 2, ...(since !== undefined && { since }) } } }
    const told = (await client.post(slidingSync, body)).extensions[extension]
    return [(told.rooms[room]?.events ?? []).map((event: Answer) => event.event_id), told.next_batch]
  }
  const [first, next] = await slide(alice)
  const [second, last] = await slide(alice, next)
  expect([...first, ...second]).toEqual(ids)
  expect(first).toHaveLength(2)
  const [nothing, ofBob] = await slide(bob)
  expect(nothing).toEqual([])
  await bob.join(room)
  const [all, after] = await slide(bob, ofBob)
  expect(all).toEqual(ids)
  expect((await slide(bob, after))[0]).toEqual([])
  expect((await slide(bob))[0]).toEqual(ids)
  expect((await slide(alice, last))[0]).toEqual([])
  // What a timeline of the same answer shows is not told again.
  const lists = { all: { ranges: [[0, 9]], timeline_limit: 2, required_state: [] } }
  const extensions = { [extension]: { enabled: true } }
  const whole = await alice.post(slidingSync, { conn_id: 'whole', lists, extensions })
  expect(whole.rooms[room].timeline).toHaveLength(2)
  const apart: Answer[] = whole.extensions[extension].rooms[room].events
  expect(apart.map((event) => event.event_id)).toEqual(ids.slice(0, 2))
  for (const asked of [{ since: 'x' }, { limit: 0 }]) {
    const body = { extensions: { [extension]: { enabled: true, ...asked } } }
    expect((await alice.attempt('post', slidingSync, { body })).status).toBe(400)
  }
})
