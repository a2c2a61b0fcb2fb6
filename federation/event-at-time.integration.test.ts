import { expect, test } from 'vitest'
import type { EventId, RoomId } from '../src/matrix/ids.ts'
import type { TestClient, TestServer } from '../src/testing/index.ts'
import { signedRequest } from './federated-server.fixtures.ts'
import { pair, via } from './two-servers.fixtures.ts'

const say = (client: TestClient, room: RoomId, body: string) =>
  client.send(room, 'm.room.message', { msgtype: 'm.text', body })

function eventAt(client: TestClient, room: RoomId, ts: number, dir: string) {
  const path = `/_matrix/client/v1/rooms/${encodeURIComponent(room)}/timestamp_to_event`
  return client.attempt('get', path, { query: { ts, dir } })
}

function asked(from: TestServer, to: TestServer, room: RoomId, query: string) {
  return signedRequest(
    from,
    to,
    'GET',
    `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(room)}?${query}`,
  )
}

async function timeOf(client: TestClient, room: RoomId, eventId: EventId): Promise<number> {
  const event = await client.get(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(eventId)}`)
  return event.origin_server_ts
}

async function bodiesBefore(client: TestClient, room: RoomId, from: string): Promise<string[]> {
  const { chunk } = await client.get(`/rooms/${encodeURIComponent(room)}/messages`, { dir: 'b', limit: 100, from })
  return chunk.flatMap(({ content }: { content: { body?: string } }) => content.body ?? [])
}

test('an event from before one’s own server came is found, and what is around it', async () => {
  await using servers = await pair()
  const { one, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await alice.sendState(room, 'm.room.topic', { topic: 'first' })
  const { event_id: first } = await say(alice, room, 'first')
  // What is cited by what came before, and by nothing of now.
  await alice.sendState(room, 'm.room.power_levels', { users_default: 1 })
  const { event_id: second } = await say(alice, room, 'second')
  await alice.sendState(room, 'm.room.power_levels', { users_default: 0 })
  for (let index = 0; index < 120; index++) await say(alice, room, `message ${index}`)
  const firstAt = await timeOf(alice, room, first)
  const secondAt = await timeOf(alice, room, second)
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)

  const { body } = await eventAt(bob, room, firstAt, 'f')
  expect(await timeOf(alice, room, body.event_id)).toBe(firstAt)
  expect((await eventAt(bob, room, secondAt, 'b')).body.origin_server_ts).toBe(secondAt)
  const context = `/rooms/${encodeURIComponent(room)}/context/${encodeURIComponent(second)}`
  const { end } = await bob.get(context, { limit: 0 })
  expect(await bodiesBefore(bob, room, end)).toEqual(['second', 'first'])
  expect((await eventAt(bob, room, 1, 'b')).status).toBe(404)
  expect((await eventAt(bob, room, firstAt + 3_600_000, 'f')).status).toBe(404)
})

test('a server is told only of what it may see, and of rooms it is in', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const room = await alice.createRoom({
    preset: 'public_chat',
    initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
  })
  const { event_id: hidden } = await say(alice, room, 'hidden')
  const hiddenAt = await timeOf(alice, room, hidden)
  expect((await asked(other, one, room, `ts=${hiddenAt}&dir=f`)).status).toBe(403)
  await bob.post(`/join/${encodeURIComponent(room)}?via=${via(one)}`)
  const { event_id: seen } = await say(alice, room, 'seen')
  const told = await asked(other, one, room, `ts=${await timeOf(alice, room, seen)}&dir=f`)
  expect(told.body.event_id).toBe(seen)
  const before = await asked(other, one, room, `ts=${hiddenAt}&dir=f`)
  expect([hidden, undefined]).not.toContain(before.body.event_id)
  expect(before.body.origin_server_ts).toBeGreaterThanOrEqual(hiddenAt)
  expect((await asked(other, one, room, `ts=1&dir=b`)).status).toBe(404)
  for (const query of ['ts=1', 'dir=f', 'ts=x&dir=f', 'ts=-1&dir=f', 'ts=1&dir=x']) {
    expect((await asked(other, one, room, query)).status, query).toBe(400)
  }
  const elsewhere = `!${'x'.repeat(43)}` as RoomId
  expect((await asked(other, one, elsewhere, 'ts=1&dir=f')).status).toBe(403)
})
